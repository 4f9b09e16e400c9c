"""One service per machine: a lock on the instances directory, freed by the system when the process ends."""

import fcntl
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from app.errors import ServiceError
from app.host.files import make_private_directory

LOCK_FILE = ".kecs-state.lock"


class ServiceAlreadyRunning(ServiceError):
    """Another service holds the instances; ``pid`` and ``url`` in the extras say which, where it is known."""

    code, status, title = "service-already-running", 409, "The service is already running"


class ServiceLock:
    """Held while the service runs; a second one is told who holds it."""

    def __init__(self, instances_directory: Path, *, url: str) -> None:
        self._directory = instances_directory
        self._url = url
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        directory = self._directory.resolve()
        make_private_directory(directory)
        descriptor = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(os.read(descriptor, 1000))
            os.close(descriptor)
            raise ServiceAlreadyRunning(
                f"another kecs-state serves {self._directory}: process {holder.get('pid', 'unknown')} "
                f"at {holder.get('url', 'an unknown address')}",
                remedy="Use that one, or end it first.",
                **holder,
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps({"pid": os.getpid(), "url": self._url}).encode())
        self._descriptor = descriptor
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _holder(content: bytes) -> dict[str, Any]:
    """What the holder wrote; nothing if it has only just begun."""
    try:
        said = json.loads(content)
        return {"pid": said["pid"], "url": said["url"]}
    except (ValueError, KeyError, TypeError):
        return {}
