"""One service per machine: a lock on the instances directory, freed by the system when the process ends."""

import fcntl
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from app.errors import ServiceError
from app.host.files import make_private_directory


class ServiceAlreadyRunning(ServiceError):
    """Another service holds the instances."""

    code, status, title = "service-already-running", 409, "The service is already running"


class ServiceLock:
    """Held while the service runs; a second one is told who holds it."""

    def __init__(self, instances_directory: Path, *, url: str) -> None:
        self._path = instances_directory / ".kecs-state.lock"
        self._url = url
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        make_private_directory(self._path.parent)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 1000).decode(errors="replace")
            os.close(descriptor)
            raise ServiceAlreadyRunning(
                f"another kecs-state serves {self._path.parent}: {holder}", remedy="Use that one, or end it first."
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
