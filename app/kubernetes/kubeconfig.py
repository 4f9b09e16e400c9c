"""Reading a kubeconfig document, and refusing everything in it that could run or read something here."""

import base64
from dataclasses import dataclass, field
from typing import Any

from app.kubernetes.errors import UntrustedKubeconfig
from app.ports import ClusterAccess

#: Each of these makes a client run a program or read one of our files.
_REFUSED_USER_KEYS = ("exec", "auth-provider", "tokenFile", "client-certificate", "client-key")


@dataclass(frozen=True)
class Endpoint:
    """Where the API server is and how to speak to it."""

    server: str
    ca: str
    token: str = field(default="", repr=False)
    client_certificate: bytes = field(default=b"", repr=False)
    client_key: bytes = field(default=b"", repr=False)


def load(access: ClusterAccess) -> Endpoint:
    """The endpoint of the current context; raises ``UntrustedKubeconfig`` naming what it refuses or misses."""
    document = access.kubeconfig
    context = _entry(document, "contexts", _text(document, "current-context"))
    cluster = _entry(document, "clusters", _text(context, "cluster"))
    user = _entry(document, "users", _text(context, "user"))
    for key in _REFUSED_USER_KEYS:
        if key in user:
            raise UntrustedKubeconfig(f"the kubeconfig's user has {key!r}, which could run or read something here")
    server = _text(cluster, "server")
    if "certificate-authority" in cluster or not server.startswith("https://"):
        raise UntrustedKubeconfig("the kubeconfig's cluster must have https and inline certificate authority data")
    ca = _decoded(cluster, "certificate-authority-data")
    if not ca:
        # Without one, Python would trust whatever this machine trusts.
        raise UntrustedKubeconfig("the kubeconfig has no certificate authority data")
    return Endpoint(
        server=server.rstrip("/"),
        ca=ca.decode(errors="replace"),
        token=_text(user, "token", default="").strip(),
        client_certificate=_decoded(user, "client-certificate-data"),
        client_key=_decoded(user, "client-key-data"),
    )


def _entry(document: dict[str, Any], section: str, name: str) -> dict[str, Any]:
    """The named entry of ``contexts``, ``clusters`` or ``users``."""
    for entry in document.get(section) or []:
        if entry.get("name") == name and isinstance(found := entry.get(section.removesuffix("s")), dict):
            return found
    raise UntrustedKubeconfig(f"the kubeconfig is incomplete: there is no {name!r} among its {section}")


def _text(holder: dict[str, Any], key: str, *, default: str | None = None) -> str:
    value = holder.get(key, default)
    if not isinstance(value, str):
        raise UntrustedKubeconfig(f"the kubeconfig is incomplete: {key!r} is missing or no text")
    return value


def _decoded(holder: dict[str, Any], key: str) -> bytes:
    try:
        return base64.b64decode(_text(holder, key, default=""), validate=True)
    except ValueError:
        raise UntrustedKubeconfig(f"the kubeconfig's {key!r} is not base64") from None
