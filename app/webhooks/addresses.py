"""Where messages may go: this machine, and hosts that the settings name.

A service that sends requests wherever it is told to is a way into every network its machine is in. So an address is
checked when it is given and again when it is connected to: a name is resolved once, every address it has is checked,
and the connection goes to a checked one. In between a name may begin to mean something else.
"""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import SplitResult, unquote, urlsplit

from app.webhooks.errors import WebhookAddressRefused

IpAddress = IPv4Address | IPv6Address
Resolver = Callable[[str, int], Awaitable[list[str]]]

MAX_URL_CHARACTERS = 2048
DEFAULT_PORTS = {"http": 80, "https": 443}
SETTING = "KECS_STATE_WEBHOOKS__ALLOWED_HOSTS"

_PRINTABLE = re.compile(r"^[\x21-\x5b\x5d-\x7e]+$")
_USER_INFO = re.compile(r"(//)[^/?#]*@")
_HIDDEN = "***"
_PRIVATE = tuple(ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"))
_NAT64 = ip_network("64:ff9b::/96")


@dataclass(frozen=True)
class Destination:
    """What one attempt connects to: checked addresses of one host."""

    scheme: str
    addresses: list[str]
    port: int
    target: str
    host_header: str
    server_name: str | None
    """For TLS; None where the URL itself names an address."""
    credentials: tuple[str, str] | None = field(repr=False)

    def url(self, address: str) -> str:
        """The URL that leads to one of the addresses, without any name in it."""
        literal = f"[{address}]" if ":" in address else address
        return f"{self.scheme}://{literal}:{self.port}{self.target}"


async def look_up(name: str, port: int) -> list[str]:
    """Every address of a name, as the system resolves it."""
    found = await asyncio.get_running_loop().getaddrinfo(name, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def redacted_url(url: str) -> str:
    """The URL without its user and password, for everything that shows it."""
    return _USER_INFO.sub(rf"\1{_HIDDEN}@", url)


class Addresses:
    """The rules, with the hosts that may be sent to besides this machine."""

    def __init__(self, allowed_hosts: Iterable[str], resolve: Resolver = look_up) -> None:
        self._names = frozenset(_plain(host) for host in allowed_hosts)
        self._resolve = resolve

    def check(self, url: str) -> None:
        """Raise ``WebhookAddressRefused`` for what can never be sent to; looks nothing up."""
        self._checked(url)

    async def resolve(self, url: str) -> Destination:
        """What to connect to now; raises ``WebhookAddressRefused``, or OSError for a name without an address."""
        parts = self._checked(url)
        host, port = _plain(parts.hostname or ""), parts.port or DEFAULT_PORTS[parts.scheme]
        literal = _as_ip(host)
        found = [host] if literal else await self._resolve(host, port)
        if not found:
            raise OSError(f"the name {host!r} has no address")
        for text in found:
            _check_found(host, text, parts.scheme, named=literal is None)
        return Destination(
            scheme=parts.scheme,
            addresses=found,
            port=port,
            target=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
            host_header=parts.netloc.rpartition("@")[2],
            server_name=None if literal else host,
            credentials=_credentials(parts),
        )

    def _checked(self, url: str) -> SplitResult:
        parts = _split(url)
        host = _plain(parts.hostname or "")
        address = _as_ip(host)
        if address is not None:
            _refuse_special(host, address)
            _require_https(host, address, parts.scheme)
        is_here = host == "localhost" or (address is not None and _meant(address).is_loopback)
        if not is_here and host not in self._names:
            raise WebhookAddressRefused(
                f"{host!r} is not this machine, and no setting allows it",
                remedy=f"Use a loopback address, or allow the host: {SETTING}='[\"{host}\"]'.",
            )
        return parts


def _split(url: str) -> SplitResult:
    """The parts of a well-formed URL; the refusal never repeats it, since any part of it may be a password."""
    try:
        parts = urlsplit(url)
        well_formed = bool(_PRINTABLE.match(url) and parts.hostname and parts.port != 0)
    except ValueError:
        well_formed = False
    if not well_formed or len(url) > MAX_URL_CHARACTERS:
        raise WebhookAddressRefused(
            "the address is not a well-formed URL",
            remedy="Give it as http://host:port/path, with everything but plain ASCII percent-encoded.",
        )
    if parts.scheme not in DEFAULT_PORTS:
        raise WebhookAddressRefused(
            "the address is neither http nor https", remedy="Begin it with http:// or https://."
        )
    if parts.netloc.startswith(f"{_HIDDEN}@"):
        raise WebhookAddressRefused(
            "the address has the stars in it that stand for a password",
            remedy="Write user and password out, or leave the address as it is.",
        )
    return parts


def _plain(host: str) -> str:
    """A host as it is compared: lower case, an IP address in its one short form."""
    address = _as_ip(host.strip().strip("[]"))
    return str(address) if address is not None else host.strip().lower()


def _as_ip(host: str) -> IpAddress | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _meant(address: IpAddress) -> IpAddress:
    """The IPv4 address that an IPv6 one stands for, where it does."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _refuse_special(host: str, address: IpAddress) -> None:
    meant = _meant(address)
    for forbidden, what in (
        (meant.is_link_local, "link-local"),
        (meant.is_multicast, "multicast"),
        (meant.is_unspecified, "unspecified"),
        (meant == IPv4Address("255.255.255.255"), "broadcast"),
    ):
        if forbidden:
            raise WebhookAddressRefused(
                f"{host!r} means {address}, a {what} address; nothing is ever sent to those",
                remedy="Use an address of the machine that the receiver runs on.",
            )


def _require_https(host: str, address: IpAddress, scheme: str) -> None:
    meant = _meant(address)
    if scheme == "http" and not (meant.is_loopback or any(meant in network for network in _PRIVATE)):
        raise WebhookAddressRefused(
            f"{host!r} means {address}, which is outside of private networks, and http would send in clear",
            remedy="Use https.",
        )


def _check_found(host: str, text: str, scheme: str, *, named: bool) -> None:
    """Check one address a host has at this moment."""
    address = ip_address(text)
    _refuse_special(host, address)
    _require_https(host, address, scheme)
    if named and _meant(address).is_loopback != (host == "localhost"):
        raise WebhookAddressRefused(
            f"{host!r} means {address} now, "
            + ("which is another machine" if host == "localhost" else "which is this very machine"),
            remedy="Correct how the name is resolved; for a receiver on this machine use 127.0.0.1.",
        )


def _credentials(parts: SplitResult) -> tuple[str, str] | None:
    if parts.username is None:
        return None
    return unquote(parts.username), unquote(parts.password or "")
