"""One attempt to deliver one message over HTTP."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self

from app.queries import now
from app.webhooks.addresses import Addresses, Destination
from app.webhooks.errors import WebhookAddressRefused
from app.webhooks.queue import Message, Outcome
from app.webhooks.signing import signed_headers

if TYPE_CHECKING:
    import httpx

#: An answer is read so far and so long, out of politeness: its status has said everything.
MAX_ANSWER_BYTES = 8 * 1024
ANSWER_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 86_400


class Sender:
    """Sends to checked addresses only; use as an async context manager."""

    def __init__(self, addresses: Addresses, timeout_seconds: float) -> None:
        self._addresses = addresses
        self._timeout_seconds = timeout_seconds
        self._client: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close what is open."""
        if self._client is not None:
            await self._client.aclose()

    async def send(self, message: Message) -> Outcome:
        """Send once; every failure of the network or the receiver is an outcome."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                destination = await self._addresses.resolve(message.url)
                return await self._post(destination, message)
        except WebhookAddressRefused as error:
            return Outcome(error=f"{error.detail}. {error.remedy}")
        except TimeoutError:
            return Outcome(error=f"no answer within {self._timeout_seconds:g} s")
        except OSError as error:
            return Outcome(error=f"the name cannot be resolved: {error.strerror or error}")

    async def _post(self, destination: Destination, message: Message) -> Outcome:
        """Post to the first of the addresses that can be connected to."""
        import httpx

        client = self._opened_client()
        outcome = Outcome()
        for address in destination.addresses:
            request = client.build_request(
                "POST",
                destination.url(address),
                content=message.body.encode(),
                headers=_headers(destination, message),
                extensions={"sni_hostname": destination.server_name} if destination.server_name else {},
                timeout=httpx.Timeout(
                    self._timeout_seconds, connect=self._timeout_seconds / len(destination.addresses)
                ),
            )
            auth = httpx.BasicAuth(*destination.credentials) if destination.credentials else None
            try:
                return await _answer(client, request, auth)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                outcome = Outcome(error=f"cannot connect to {address} port {destination.port}: {error or 'too slow'}")
            except httpx.TimeoutException:
                return Outcome(error=f"no answer within {self._timeout_seconds:g} s")
            except httpx.HTTPError as error:
                return Outcome(error=f"the exchange broke off: {error or type(error).__name__}")
        return outcome

    def _opened_client(self) -> "httpx.AsyncClient":
        """The client, made with the first message: most services never send one."""
        if self._client is None:
            import httpx

            certificates = httpx.create_ssl_context(trust_env=False)
            certificates.load_default_certs()
            self._client = httpx.AsyncClient(
                verify=certificates,
                trust_env=False,
                follow_redirects=False,
                # Two names may share an address; a connection opened as one of them must not serve the other.
                limits=httpx.Limits(max_keepalive_connections=0),
            )
        return self._client


async def _answer(client: "httpx.AsyncClient", request: "httpx.Request", auth: "httpx.BasicAuth | None") -> Outcome:
    import httpx

    response = await client.send(request, auth=auth, stream=True)
    try:
        with contextlib.suppress(TimeoutError, httpx.HTTPError):
            async with asyncio.timeout(ANSWER_SECONDS):
                await _read_a_little(response)
    finally:
        await response.aclose()
    return Outcome(
        status=response.status_code,
        error=_complaint(response.status_code),
        retry_after=_retry_after(response.headers.get("retry-after", "")),
    )


async def _read_a_little(response: "httpx.Response") -> None:
    read = 0
    async for chunk in response.aiter_raw():
        read += len(chunk)
        if read > MAX_ANSWER_BYTES:
            return


def _headers(destination: Destination, message: Message) -> dict[str, str]:
    return {
        "Host": destination.host_header,
        "Content-Type": "application/json",
        "User-Agent": "kecs-state",
        **signed_headers(message.signers, message.id, now(), message.body),
    }


def _complaint(status: int) -> str:
    if 200 <= status < 300:
        return ""
    if 300 <= status < 400:
        return f"the receiver answered {status}: redirects are not followed, register the address it leads to"
    return f"the receiver answered {status}"


def _retry_after(text: str) -> timedelta | None:
    """What the header asks for, as seconds or as a date; None for anything else."""
    if text.strip().isdecimal():
        return timedelta(seconds=min(int(text.strip()[:9]), LONGEST_WAIT_SECONDS))
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC)
