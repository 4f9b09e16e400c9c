"""The manifests of a store outside of the cluster; pure."""

import base64
from dataclasses import dataclass

from app.settings import StackSettings
from app.storage.s3 import S3Credentials
from app.velero.stack.manifests import CREDENTIALS_KEY, Manifest, aws_file, location_manifest, secret_manifest

EXTERNAL_SECRET = "external-store-credentials"  # noqa: S105 - the name of a Secret


@dataclass(frozen=True)
class ExternalPlace:
    """A store outside of the cluster as Velero reaches it; ``public_url`` is for people, if theirs is another.

    ``authority`` is the PEM text behind its certificate, empty for the system's.
    """

    url: str
    public_url: str
    bucket: str
    prefix: str
    region: str
    path_style: bool
    authority: bytes
    credentials: S3Credentials


def external_credentials_manifest(settings: StackSettings, place: ExternalPlace) -> Manifest:
    """The keys of an external store, which the location names: Velero reads them anew whenever it goes there."""
    return secret_manifest(settings, EXTERNAL_SECRET, {CREDENTIALS_KEY: aws_file(place.credentials)})


def external_location_manifest(settings: StackSettings, name: str, place: ExternalPlace) -> Manifest:
    """Where Velero keeps backups outside of the cluster; the default only under our own location's name."""
    manifest = location_manifest(settings, name, place.url)
    storage: Manifest = {"bucket": place.bucket, "prefix": place.prefix}
    if place.authority:
        storage["caCert"] = base64.b64encode(place.authority).decode()
    config = {
        "region": place.region,
        "s3Url": place.url,
        "s3ForcePathStyle": str(place.path_style).lower(),
        "checksumAlgorithm": "",
    }
    manifest["spec"] |= {
        "default": name == "default",
        "objectStorage": storage,
        "config": config | ({"publicUrl": place.public_url} if place.public_url else {}),
        "credential": {"name": EXTERNAL_SECRET, "key": CREDENTIALS_KEY},
    }
    return manifest
