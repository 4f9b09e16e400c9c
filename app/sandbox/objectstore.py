"""SeaweedFS in the place of the MinIO image: a real S3 server, closed as far as it can be.

By default it binds every interface, makes buckets for anybody who writes into them, and lets the filer port read
and write past the signatures; each of these is switched off here.
"""

import asyncio
import ctypes
import errno
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from app.sandbox.faults import Rules, read_faults
from app.sandbox.ports import BESIDE, free_port

SIGNING_KEYS = ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read")
#: Without a limit it keeps 350 MB after a burst of small objects; below 300 MiB it collects garbage without end
#: (measured at 150 MiB: 6.5 times the work for the same requests, and an eighth of a core for ever while idle).
MEMORY_LIMIT = "320MiB"
#: Beside S3; each has one port more for gRPC.
PARTS = ("master", "volume", "filer")
PR_SET_PDEATHSIG = 1
#: Where SeaweedFS, whatever it is told, makes a socket for each of its ports, and leaves it when it is killed.
SOCKETS = Path("/tmp")  # noqa: S108 - its choice
#: A younger one may be between its making and its first listener.
YOUNG_SECONDS = 60.0


def main() -> int:
    """Run the server until it ends; a signal to this process ends it too."""
    mounts: dict[str, str] = json.loads(os.environ["KECS_SANDBOX_MOUNTS"])
    ports: dict[str, int] = json.loads(os.environ["KECS_SANDBOX_PORTS"])
    data = Path(mounts["/data"])
    private = Path(os.environ["TMPDIR"]) / f"objectstore-{secrets.token_hex(4)}"
    private.mkdir(mode=0o700, parents=True)
    remove_dead_sockets(SOCKETS)
    rules = _rules()
    port = ports["9000"] if rules is None else free_port(BESIDE)
    write_configuration(private, os.environ["MINIO_ROOT_USER"], os.environ["MINIO_ROOT_PASSWORD"])
    print("This is SeaweedFS in the kecs-state sandbox, not MinIO.", flush=True)  # noqa: T201 - the container's log
    environment = os.environ | {"GOMEMLIMIT": MEMORY_LIMIT, "TMPDIR": str(private)}
    server = subprocess.Popen(
        arguments(data, port),
        cwd=private,
        env=environment,
        preexec_fn=_die_with_parent,  # noqa: PLW1509
    )
    # Its own way to stop takes four seconds, MinIO's none; what it has answered survives SIGKILL (measured).
    signal.signal(signal.SIGTERM, lambda *_: server.kill())
    if rules is not None:
        from app.sandbox import storeproxy

        proxy = storeproxy.serve(ports["9000"], port, rules)
        threading.Thread(target=asyncio.run, args=[proxy], daemon=True).start()
    return max(server.wait(), 0)


def remove_dead_sockets(directory: Path) -> None:
    """Remove what killed servers of this user have left: sockets on which nobody listens."""
    for path in directory.glob("seaweedfs-*.sock"):
        with suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            found = path.lstat()
            if found.st_uid == os.getuid() and time.time() - found.st_mtime > YOUNG_SECONDS:
                probe.settimeout(1)
                if probe.connect_ex(str(path)) == errno.ECONNREFUSED:
                    path.unlink()


def _rules() -> Rules | None:
    """The fault switches, if any concerned this store when its pod was started: only then are they heeded."""
    path = os.environ.get("KECS_SANDBOX_FAULTS")
    if path is None or not read_faults(Path(path), "store"):
        return None
    return Rules(Path(path), "store")


def write_configuration(private: Path, access_key: str, secret_key: str) -> None:
    """Identities and signing keys, readable by the owner alone."""
    identity = {
        "name": "root",
        "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
        "actions": ["Admin", "Read", "List", "Tagging", "Write"],
    }
    for name, content in (
        ("identities.json", json.dumps({"identities": [identity]})),
        ("security.toml", "\n".join(f'[{key}]\nkey = "{secrets.token_hex(24)}"' for key in SIGNING_KEYS)),
    ):
        descriptor = os.open(private / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(content)


def arguments(data: Path, s3_port: int) -> list[str]:
    """The hardened command line; every port on loopback."""
    return [
        str(Path(sys.executable).parent / "weed"),
        "-logtostderr=true",
        "mini",
        f"-dir={data}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-s3.port={s3_port}",
        f"-s3.port.grpc={free_port(BESIDE)}",
        "-s3.config=identities.json",
        "-s3.autoCreateBucket=false",
        "-s3.iam=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-webdav=false",
        "-admin.ui=false",
        *(f"-{part}.port={free_port(BESIDE)}" for part in PARTS),
        *(f"-{part}.port.grpc={free_port(BESIDE)}" for part in PARTS),
    ]


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
