"""Secrets of one instance, generated once and kept 0600 in ``velero-config/``."""

import configparser
import io
import secrets
from pathlib import Path

from app.host.files import HostDirectoryError
from app.host.instance_directory import InstanceDirectory
from app.storage.s3 import S3Credentials

PROFILE = "default"


def ensure_credentials(directory: InstanceDirectory) -> S3Credentials:
    """MinIO's root user and password, in the AWS INI form Velero reads too."""
    path = directory.credentials_directory / "credentials"
    content = directory.read(path)
    if content is None:
        directory.make(directory.credentials_directory)
        credentials = S3Credentials(access_key=f"kecs{secrets.token_hex(8)}", secret_key=secrets.token_hex(24))
        directory.write(path, credentials_file(credentials).encode())
        return credentials
    return parse_credentials(
        content,
        path,
        remedy="Restore it from a copy: MinIO's data can only be read with the credentials it was made with.",
    )


def parse_credentials(content: bytes, path: Path, *, remedy: str) -> S3Credentials:
    """The keys in an AWS credentials file; raises ``HostDirectoryError``, without a word of its content."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(content.decode())
        return S3Credentials(parser[PROFILE]["aws_access_key_id"], parser[PROFILE]["aws_secret_access_key"])
    except (configparser.Error, KeyError, UnicodeDecodeError):
        raise HostDirectoryError(
            f"{path} is not an AWS credentials file with a [{PROFILE}] profile", remedy=remedy
        ) from None


def credentials_file(credentials: S3Credentials) -> str:
    """The AWS INI form of a pair of keys."""
    parser = configparser.ConfigParser(interpolation=None)
    parser[PROFILE] = {
        "aws_access_key_id": credentials.access_key,
        "aws_secret_access_key": credentials.secret_key,
    }
    text = io.StringIO()
    parser.write(text, space_around_delimiters=False)
    return text.getvalue()


def ensure_repository_password(directory: InstanceDirectory) -> str:
    """The password of the volume repositories; must never change while one exists."""
    path = directory.credentials_directory / "repository-password"
    content = directory.read(path)
    if content is None:
        directory.make(directory.credentials_directory)
        content = secrets.token_urlsafe(32).encode()
        directory.write(path, content)
    return content.decode().strip()
