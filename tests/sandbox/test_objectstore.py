"""How the sandbox's object store is started: its ports, and what earlier ones have left."""

import os
import socket
import time
from pathlib import Path

from app.sandbox import ports
from app.sandbox.objectstore import YOUNG_SECONDS, arguments, remove_dead_sockets


def test_it_takes_no_port_that_somebody_was_told() -> None:
    """Its S3 port is bound last: one of its other parts once had that very port, and answered for it."""
    told = ports.free_port()
    used = [int(each.partition("=")[2]) for each in arguments(Path("data"), told) if ".port" in each]
    beside = [port for port in used if port not in {0, told}]
    assert (used.count(told), len(set(beside)), set(beside) & set(ports.TOLD)) == (1, 7, set())


def test_sockets_of_killed_servers_go(tmp_path: Path) -> None:
    """Six for each start, and every power-off kills. One that is listened on stays, and one that may be soon."""
    listening = []
    for name in ("seaweedfs-filer-1.sock", "seaweedfs-s3-2.sock", "seaweedfs-s3-3.sock", "somebody-else.sock"):
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(tmp_path / name))
        if "filer" in name:
            server.listen()
            listening.append(server)
        else:
            server.close()
        if "-3" not in name:
            long_ago = time.time() - YOUNG_SECONDS - 1
            os.utime(tmp_path / name, (long_ago, long_ago))
    remove_dead_sockets(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    listening[0].close()
    assert left == {"seaweedfs-filer-1.sock", "seaweedfs-s3-3.sock", "somebody-else.sock"}
