"""Images the sandbox knows, and what runs in their place."""

import sys
from dataclasses import dataclass

from app.sandbox.objects import Object


@dataclass(frozen=True)
class KnownImage:
    """An image with a program behind it; ``entrypoint`` is what a container's ``command`` names, if it gives one."""

    repository: str
    module: str
    entrypoint: str = ""


KNOWN = (
    KnownImage("velero/velero", "app.sandbox.velero", "/velero"),
    KnownImage("minio/minio", "app.sandbox.objectstore"),
    KnownImage("nandemo-ya/kecs", "app.sandbox.kecs"),
)
PLUGIN = "velero/velero-plugin-for-aws"


def repository_of(image: str) -> str:
    """``quay.io/minio/minio:R`` -> ``minio/minio``: without registry, tag and digest."""
    path = image.partition("@")[0]
    first, _, rest = path.partition("/")
    if rest and ("." in first or ":" in first or first == "localhost"):
        path = rest
    head, _, last = path.rpartition("/")
    name = last.partition(":")[0]
    return f"{head}/{name}" if head else name


def can_be_pulled(image: str) -> bool:
    """Registries below ``.invalid`` (RFC 2606) do not exist; every other one has everything."""
    host = image.partition("/")[0].partition(":")[0]
    return not host.endswith(".invalid")


def command_of(container: Object) -> list[str] | None:
    """The process to run for a container, or None for an image that only pretends to run."""
    repository = repository_of(container["image"])
    for known in KNOWN:
        if known.repository == repository:
            arguments = list(container.get("args") or [])
            command = list(container.get("command") or [])
            if command and command[0] == known.entrypoint:
                command = command[1:]
            return [sys.executable, "-m", known.module, *command, *arguments]
    return None


def images_on_node() -> list[Object]:
    """``status.images`` of the Node."""
    return [{"names": [f"{known.repository}:sandbox"], "sizeBytes": 0} for known in KNOWN]
