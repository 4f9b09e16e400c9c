"""The secret that messages to the ``callback_url`` of jobs are signed with."""

from pathlib import Path

from app.host.files import make_private_directory, read_private, write_private
from app.webhooks.signing import new_secret


def webhook_secret(state_directory: Path) -> str:
    """The service's own secret, made once; whoever may read the file can verify what a callback says."""
    directory = state_directory.resolve()
    make_private_directory(directory)
    path = directory / "webhook-secret"
    content = read_private(path)
    if content is None:
        content = new_secret().encode()
        write_private(path, content)
    return content.decode().strip()
