"""The service over HTTP, as any other client meets it."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from app.cli.errors import CommandError, Exit

if TYPE_CHECKING:
    import ssl

    import httpx

DEFAULT_URL = "http://127.0.0.1:5380"
CONNECT_SECONDS = 5.0
#: Longer than any wait the commands ask the service for.
ANSWER_SECONDS = 60.0
STREAM = "text/event-stream"
TOKEN_VARIABLE = "KECS_STATE_TOKEN"  # noqa: S105 - its name
CA_VARIABLE = "KECS_STATE_CA_FILE"


class ServiceClient:
    """Requests to one service; every problem comes out as ``CommandError``."""

    def __init__(self, url: str, *, answer_seconds: float = ANSWER_SECONDS) -> None:
        import httpx

        self.url = url.rstrip("/")
        try:
            # Proxies of the environment are for the network, not for a loopback port.
            self._http = httpx.Client(
                base_url=self.url,
                headers=_credentials(),
                verify=_trusted(),
                timeout=httpx.Timeout(answer_seconds, connect=CONNECT_SECONDS),
                trust_env=False,
            )
        except httpx.InvalidURL as error:
            raise CommandError("Not a URL", f"{url!r}: {error}", code=Exit.UNREACHABLE) from None

    def get(self, path: str, **query: str | float | None) -> Any:
        """The JSON answer of a GET."""
        return self._request("GET", path, params={key: value for key, value in query.items() if value is not None})

    def readiness(self) -> Any:
        """What /readyz says, which answers 503 with the same document where the service is not ready."""
        with self._reaching():
            response = self._http.get("/readyz")
        return _checked(response, "application/json", also=503).json()

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """The JSON answer of a POST; no body at all when none is given."""
        return self._request("POST", path, json=body)

    def get_tagged(self, path: str) -> tuple[Any, str]:
        """The JSON answer of a GET, and the ETag that names it."""
        with self._reaching():
            response = self._http.get(path)
        return _checked(response, "application/json").json(), response.headers["ETag"]

    def put(self, path: str, body: dict[str, Any] | None = None, *, if_match: str | None = None) -> Any:
        """The JSON answer of a PUT; ``if_match`` is the ETag of what it replaces."""
        return self._request("PUT", path, json=body, headers={"If-Match": if_match} if if_match else None)

    def patch(self, path: str, body: dict[str, Any]) -> Any:
        """The JSON answer of a PATCH."""
        return self._request("PATCH", path, json=body)

    def delete(self, path: str) -> Any:
        """The JSON answer of a DELETE; None where there is nothing to say."""
        return self._request("DELETE", path)

    def text(self, path: str) -> str:
        """The plain text of a GET."""
        with self._reaching():
            response = self._http.get(path)
        return _checked(response, "text/plain").text

    def stream(self, path: str, **query: str | float | None) -> Iterator[tuple[int, Any]]:
        """Id and data of each message of an event stream, until the service ends it."""
        import httpx

        params = {key: value for key, value in query.items() if value is not None}
        # The service breaks every silence itself, so one that lasts is a broken connection.
        with self._reaching(), self._http.stream("GET", path, params=params, headers={"Accept": STREAM}) as response:
            if response.status_code == httpx.codes.NO_CONTENT:
                return
            if response.headers.get("content-type", "").partition(";")[0] != STREAM:
                response.read()
            _checked(response, STREAM)
            number = 0
            for line in response.iter_lines():
                field, _, value = line.partition(": ")
                if field == "id":
                    number = int(value)
                elif field == "data":
                    yield number, json.loads(value)

    def _request(self, method: str, path: str, **options: Any) -> Any:
        with self._reaching():
            response = self._http.request(method, path, **options)
        return None if response.status_code == 204 else _checked(response, "application/json").json()

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        import httpx

        try:
            yield
        except (httpx.TransportError, httpx.UnsupportedProtocol) as error:
            raise CommandError(
                "The service cannot be reached",
                f"{self.url}: {str(error) or type(error).__name__}",
                remedy="Start it with `kecs-state serve`, or name it with --url or KECS_STATE_URL.",
                code=Exit.UNREACHABLE,
            ) from None


def _credentials() -> dict[str, str]:
    """The token of the environment: as an option it could be read in the list of processes."""
    token = os.environ.get(TOKEN_VARIABLE)
    return {"Authorization": f"Bearer {token}"} if token else {}


def _trusted() -> "ssl.SSLContext | bool":
    """Whom to trust besides the well-known authorities: a certificate of one's own."""
    path = os.environ.get(CA_VARIABLE)
    if not path:
        return True
    import ssl

    try:
        return ssl.create_default_context(cafile=path)
    except OSError as error:
        detail = f"{CA_VARIABLE}={path}: {error.strerror or error}"
        raise CommandError("No certificate", detail, code=Exit.USAGE) from None


def _checked(response: "httpx.Response", wanted: str, *, also: int | None = None) -> "httpx.Response":
    """The response, if it is a good one (or has the status ``also``) of the wanted media type.

    A problem comes out as the error it tells of.
    """
    media_type = response.headers.get("content-type", "").partition(";")[0]
    if media_type == "application/problem+json":
        raise CommandError.of_problem(response.json())
    if media_type != wanted or not (response.is_success or response.status_code == also):
        raise CommandError(
            "Not an answer of this service",
            f"{response.request.url} answered {response.status_code} with {media_type or 'no content type'}",
            remedy="Check the address given with --url or KECS_STATE_URL.",
            code=Exit.UNREACHABLE,
        )
    return response
