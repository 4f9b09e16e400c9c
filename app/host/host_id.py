"""Which host this is, in a history that several hosts may share."""

from pathlib import Path

from uuid6 import uuid7

from app.host.files import make_private_directory, read_private, write_private


def host_id(state_directory: Path) -> str:
    """The id of this host, made once and kept beside the database but never in it."""
    directory = state_directory.resolve()
    make_private_directory(directory)
    path = directory / "host-id"
    content = read_private(path)
    if content is None:
        content = str(uuid7()).encode()
        write_private(path, content)
    return content.decode().strip()
