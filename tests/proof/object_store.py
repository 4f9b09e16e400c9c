"""A real S3 server whose files lie in a directory of this host, as MinIO's do: SeaweedFS, as the sandbox runs it."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.sandbox.ports import free_port
from app.storage.s3 import S3Credentials

_READY_SECONDS = 30
_END_SECONDS = 10


@dataclass(frozen=True)
class ObjectStore:
    """Where it listens, its keys, and the directory it writes to."""

    url: str
    credentials: S3Credentials
    directory: Path


@contextmanager
def running_object_store(home: Path) -> Iterator[ObjectStore]:
    """The server; ended by its own process at the end."""
    data, temporary = home / "data", home / "tmp"
    data.mkdir()
    temporary.mkdir()
    port = free_port()
    credentials = S3Credentials("tester", "tester-secret")
    environment = os.environ | {
        "TMPDIR": str(temporary),
        "MINIO_ROOT_USER": credentials.access_key,
        "MINIO_ROOT_PASSWORD": credentials.secret_key,
        "KECS_SANDBOX_MOUNTS": json.dumps({"/data": str(data)}),
        "KECS_SANDBOX_PORTS": json.dumps({"9000": port}),
    }
    command = [sys.executable, "-m", "app.sandbox.objectstore"]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        _wait(f"http://127.0.0.1:{port}", home / "log")
        yield ObjectStore(f"http://127.0.0.1:{port}", credentials, data)
    finally:
        process.terminate()
        try:
            process.wait(timeout=_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()  # its server dies with it
            process.wait(timeout=_END_SECONDS)


def _wait(url: str, log: Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=1).close()  # noqa: S310 - a loopback address of our own
        except urllib.error.HTTPError as answer:
            answer.close()
            return
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(log.read_text()[-2000:])
