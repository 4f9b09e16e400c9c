"""The external store of one instance: which part of it, whether it is in use, and how to get in."""

from pathlib import Path

from app.errors import ExternalStoreNotConfigured
from app.host.config import ExternalRecord, InstanceConfig, StorageRecord
from app.host.credentials import parse_credentials
from app.host.files import HostDirectoryError
from app.host.instance_directory import InstanceDirectory
from app.settings import ExternalStoreSettings
from app.storage.s3 import S3Credentials, S3Options, S3Store


def external_in_use(
    directory: InstanceDirectory, config: InstanceConfig | None, settings: ExternalStoreSettings | None
) -> ExternalRecord | None:
    """The part of the external store that holds this instance's backups; None for MinIO in its cluster.

    The record decides. An instance without one goes where the settings say, unless a MinIO has already kept data for
    it. Raises ``ExternalStoreNotConfigured`` when the settings do not lead to what is recorded.
    """
    recorded = config.storage if config is not None else None
    if isinstance(recorded, StorageRecord):
        return None
    configured = place_of(directory.path.name, settings) if settings is not None else None
    if recorded is None:
        return None if configured is None or _minio_was_here(directory) else configured
    if recorded != configured:
        raise ExternalStoreNotConfigured(
            f"the backups of this instance lie in {recorded}, but the settings name {configured or 'no store'}",
            remedy="Set KECS_STATE_STORAGE__… to that store again. To use another one, move the backups there: "
            "docs/storage.md says how.",
            recorded=str(recorded),
            configured=str(configured) if configured else None,
        )
    return recorded


def place_of(instance: str, settings: ExternalStoreSettings) -> ExternalRecord:
    """Where an instance of that name keeps its backups in the configured store."""
    prefix = f"{settings.prefix}/{instance}" if settings.prefix else instance
    return ExternalRecord(endpoint=settings.endpoint, bucket=settings.bucket, prefix=prefix)


def _minio_was_here(directory: InstanceDirectory) -> bool:
    return directory.minio_directory.is_dir() and any(directory.minio_directory.iterdir())


def external_store(place: ExternalRecord, settings: ExternalStoreSettings) -> S3Store:
    """A client of that part of the store; who takes it opens and closes it."""
    options = S3Options(settings.region, settings.path_style, settings.ca_file and settings.ca_file.expanduser())
    return S3Store(place.endpoint, external_keys(settings), place.bucket, prefix=place.prefix, options=options)


def external_keys(settings: ExternalStoreSettings) -> S3Credentials:
    """The keys of the settings, or of the file they name; raises ``HostDirectoryError``."""
    if settings.access_key is not None and settings.secret_key is not None:
        return S3Credentials(settings.access_key.get_secret_value(), settings.secret_key.get_secret_value())
    path = (settings.credentials_file or Path()).expanduser()
    remedy = "Mend the file that KECS_STATE_STORAGE__CREDENTIALS_FILE names."
    return parse_credentials(_read(path, remedy), path, remedy=remedy)


def authority(settings: ExternalStoreSettings) -> bytes:
    """The PEM text of the store's authority, empty without one; raises ``HostDirectoryError``."""
    if settings.ca_file is None:
        return b""
    return _read(settings.ca_file.expanduser(), "Mend what KECS_STATE_STORAGE__CA_FILE names.")


def _read(path: Path, remedy: str) -> bytes:
    """A file of the user's, who may well keep it behind a link."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise HostDirectoryError(f"{path} cannot be read: {error.strerror}", remedy=remedy) from error
