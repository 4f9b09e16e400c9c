"""Reading a kubeconfig document, and refusing everything in it that could run or read something here."""

import base64
import binascii
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
    """The endpoint of the current context; raises ``UntrustedKubeconfig`` naming the key it refuses."""
    document = access.kubeconfig
    try:
        context = _named(document["contexts"], document["current-context"])["context"]
        cluster = _named(document["clusters"], context["cluster"])["cluster"]
        user = _named(document["users"], context["user"])["user"]
        server, ca = cluster["server"], _decoded(cluster["certificate-authority-data"])
    except (KeyError, TypeError, StopIteration) as error:
        raise UntrustedKubeconfig(f"the kubeconfig is incomplete: {error}") from None
    for key in _REFUSED_USER_KEYS:
        if key in user:
            raise UntrustedKubeconfig(f"the kubeconfig's user has {key!r}, which could run or read something here")
    if "certificate-authority" in cluster or not server.startswith("https://"):
        raise UntrustedKubeconfig("the kubeconfig's cluster must have https and inline certificate authority data")
    return Endpoint(
        server=server.rstrip("/"),
        ca=ca.decode(),
        token=user.get("token", ""),
        client_certificate=_decoded(user.get("client-certificate-data", "")),
        client_key=_decoded(user.get("client-key-data", "")),
    )


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(entry for entry in entries if entry["name"] == name)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise UntrustedKubeconfig("the kubeconfig holds data that is not base64") from None
