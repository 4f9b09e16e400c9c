"""The service over HTTP, as any other client meets it."""

from typing import TYPE_CHECKING, Any

from app.cli.errors import CommandError, Exit

if TYPE_CHECKING:
    import httpx

DEFAULT_URL = "http://127.0.0.1:5380"
CONNECT_SECONDS = 5.0
#: Longer than any wait the commands ask the service for.
ANSWER_SECONDS = 60.0


class ServiceClient:
    """Requests to one service; every problem comes out as ``CommandError``."""

    def __init__(self, url: str) -> None:
        import httpx

        self.url = url.rstrip("/")
        try:
            # Proxies of the environment are for the network, not for a loopback port.
            self._http = httpx.Client(
                base_url=self.url, timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS), trust_env=False
            )
        except httpx.InvalidURL as error:
            raise CommandError("Not a URL", f"{url!r}: {error}", code=Exit.UNREACHABLE) from None

    def get(self, path: str, **query: str | float | None) -> Any:
        """The JSON answer of a GET."""
        return self._request("GET", path, params={key: value for key, value in query.items() if value is not None})

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """The JSON answer of a POST; no body at all when none is given."""
        return self._request("POST", path, json=body)

    def _request(self, method: str, path: str, **options: Any) -> Any:
        import httpx

        try:
            response = self._http.request(method, path, **options)
        except (httpx.TransportError, httpx.UnsupportedProtocol) as error:
            raise CommandError(
                "The service cannot be reached",
                f"{self.url}: {str(error) or type(error).__name__}",
                remedy="Start it with `kecs-state serve`, or name it with --url or KECS_STATE_URL.",
                code=Exit.UNREACHABLE,
            ) from None
        return _read(response)


def _read(response: "httpx.Response") -> Any:
    media_type = response.headers.get("content-type", "").partition(";")[0]
    if media_type == "application/problem+json":
        raise CommandError.of_problem(response.json())
    if media_type != "application/json" or not response.is_success:
        raise CommandError(
            "Not an answer of this service",
            f"{response.request.url} answered {response.status_code} with {media_type or 'no content type'}",
            remedy="Check the address given with --url or KECS_STATE_URL.",
            code=Exit.UNREACHABLE,
        )
    return response.json()
