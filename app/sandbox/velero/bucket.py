"""The object store of a BackupStorageLocation: how it is opened, and the few calls Velero makes."""

import asyncio
import base64
import configparser
import json
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from app.sandbox.objects import Object, spec_of

_CONFIG_KEYS = {
    "region", "s3Url", "publicUrl", "s3ForcePathStyle", "signatureVersion", "profile", "credentialsFile",
    "enableSharedConfig", "kmsKeyId", "serverSideEncryption", "customerKeyEncryptionFile",
    "customerKeyEncryptionSecret", "insecureSkipTLSVerify", "tagging", "checksumAlgorithm", "bucket", "prefix",
    "caCert",
}  # fmt: skip

#: A real Velero saw a MinIO that came up three seconds after it (measured).
PATIENCE_SECONDS = 3.0


class StoreError(Exception):
    """The store could not be used; the text is what Velero would put into a status."""


class UnknownHost(StoreError):
    """Nobody listens there, or not yet."""


@dataclass(frozen=True)
class Keys:
    access: str
    secret: str

    def __repr__(self) -> str:
        return "Keys(...)"


def read_keys(ini: str, profile: str = "default") -> Keys:
    """The AWS credentials file's keys. Raises StoreError if the profile lacks them."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(ini)
        section = parser[profile]
        return Keys(section["aws_access_key_id"].strip(), section["aws_secret_access_key"].strip())
    except (configparser.Error, KeyError) as error:
        raise StoreError(f"error loading credentials of profile {profile}") from error


def require_url(key: str, url: str) -> None:
    """Raises StoreError for what the plugin would not take for an address."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise StoreError(f"Invalid {key} {url}, URL must be valid according to https://golang.org/pkg/net/url/#Parse")


class Endpoints:
    """Cluster addresses to loopback ports, by the JSON file the kubelet keeps current."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def resolve(self, url: str) -> str:
        """The URL to really connect to. Raises StoreError as a resolver that knows no such host."""
        require_url("s3Url", url)
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        known = self._read().get(f"{parts.hostname}:{port}")
        if known:
            return f"{parts.scheme}://{known}"
        if parts.hostname in {"127.0.0.1", "localhost", "::1"}:
            return url
        raise UnknownHost(f"dial tcp: lookup {parts.hostname}: no such host")

    def _read(self) -> dict[str, str]:
        if self._path is None:
            return {}
        try:
            known: dict[str, str] = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}  # not written yet, or being replaced: the next attempt reads it again
        return known


class Bucket:
    """One location's bucket below its prefix; ``signer`` knows the address that people reach it by.

    Every failure of the wire is a StoreError.
    """

    def __init__(self, client: Any, signer: Any, name: str, prefix: str) -> None:
        self._client, self._signer, self._name = client, signer, name
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    async def top_level_names(self) -> list[str]:
        """Names with objects below them: SeaweedFS goes on listing emptied directories for a while."""
        answer = await self._call("list_objects_v2", Prefix=self._prefix, Delimiter="/")
        prefixes = [entry["Prefix"] for entry in answer.get("CommonPrefixes", ())]
        return [prefix[len(self._prefix) :].rstrip("/") for prefix in prefixes if await self._holds_any(prefix)]

    async def _holds_any(self, prefix: str) -> bool:
        return bool((await self._call("list_objects_v2", Prefix=prefix, MaxKeys=1)).get("Contents"))

    async def names_below(self, prefix: str) -> list[str]:
        """The "directories" one level below ``prefix``."""
        names: list[str] = []
        token: dict[str, str] = {}
        while True:
            answer = await self._call("list_objects_v2", Prefix=self._prefix + prefix, Delimiter="/", **token)
            names += [entry["Prefix"].rstrip("/").rsplit("/", 1)[1] for entry in answer.get("CommonPrefixes", ())]
            if not answer.get("IsTruncated"):
                return names
            token = {"ContinuationToken": answer["NextContinuationToken"]}

    async def keys(self, prefix: str) -> list[str]:
        """Every key below ``prefix``, without the location's own prefix."""
        keys: list[str] = []
        token: dict[str, str] = {}
        while True:
            answer = await self._call("list_objects_v2", Prefix=self._prefix + prefix, **token)
            keys += [entry["Key"][len(self._prefix) :] for entry in answer.get("Contents", ())]
            if not answer.get("IsTruncated"):
                return keys
            token = {"ContinuationToken": answer["NextContinuationToken"]}

    async def exists(self, key: str) -> bool:
        try:
            await self._call("head_object", Key=self._prefix + key)
        except StoreError as error:
            if _is_missing(error.__cause__):
                return False
            raise
        return True

    async def get(self, key: str) -> bytes:
        answer = await self._call("get_object", Key=self._prefix + key)
        async with answer["Body"] as body:
            content: bytes = await body.read()
        return content

    async def find(self, key: str) -> bytes | None:
        try:
            return await self.get(key)
        except StoreError as error:
            if _is_missing(error.__cause__):
                return None
            raise

    async def put(self, key: str, data: bytes) -> None:
        await self._call("put_object", Key=self._prefix + key, Body=data)

    async def delete(self, key: str) -> None:
        await self._call("delete_object", Key=self._prefix + key)

    async def delete_below(self, prefix: str) -> None:
        """Every object, and the "directory": SeaweedFS removes none that was emptied just before its end."""
        for key in await self.keys(prefix):
            await self.delete(key)
        await self.delete(prefix)

    async def signed_url(self, key: str, seconds: int) -> str:
        parameters = {"Bucket": self._name, "Key": self._prefix + key}
        url: str = await self._signer.generate_presigned_url("get_object", Params=parameters, ExpiresIn=seconds)
        return url

    async def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer: dict[str, Any] = await getattr(self._client, operation)(Bucket=self._name, **parameters)
        except (BotoCoreError, ClientError, TimeoutError, OSError) as error:
            raise StoreError(f"operation error S3: {error}") from error
        return answer


def _is_missing(error: BaseException | None) -> bool:
    response = getattr(error, "response", None) or {}
    return bool(response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404)


class Buckets:
    """Opens locations; clients are kept per endpoint, keys and authority, all of one session."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._clients: dict[tuple[str, str, Keys, str], Any] = {}
        self._session: Any = None
        self._stack = AsyncExitStack()
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def warm(self) -> None:
        """Loads the S3 client in a thread, so that start and first validation do not wait for each other."""
        self._session = await asyncio.to_thread(_new_session)

    async def open(self, location: Object, keys: Keys) -> Bucket:
        """Raises StoreError for a configuration Velero's plugin would refuse, or an address that is not known."""
        config, storage = spec_of(location).get("config") or {}, spec_of(location).get("objectStorage") or {}
        unknown = sorted(set(config) - _CONFIG_KEYS)
        if unknown:
            raise StoreError(f"config has invalid keys {unknown}; valid keys are {sorted(_CONFIG_KEYS)}")
        if not config.get("region"):
            raise StoreError("operation error S3: region could not be determined")
        url = await self._resolve(config.get("s3Url", ""))
        authority = storage.get("caCert") or ""
        client = await self._client(url, config["region"], keys, authority)
        signer = client
        if public := config.get("publicUrl"):
            require_url("publicUrl", public)
            signer = await self._client(public, config["region"], keys, authority)
        return Bucket(client, signer, storage.get("bucket", ""), storage.get("prefix") or "")

    async def _resolve(self, url: str) -> str:
        """A store that comes up seconds after the server is found: the plugin's SDK tries three times."""
        until = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while True:
            try:
                return self._endpoints.resolve(url)
            except UnknownHost:
                if asyncio.get_running_loop().time() > until:
                    raise
                await asyncio.sleep(0.05)

    async def _client(self, url: str, region: str, keys: Keys, authority: str) -> Any:
        async with self._lock:
            if self._session is None:
                await self.warm()
            known = self._clients.get((url, region, keys, authority))
            if known is not None:
                return known
            client = await self._stack.enter_async_context(
                self._session.client(
                    "s3",
                    endpoint_url=url,
                    region_name=region,
                    aws_access_key_id=keys.access,
                    aws_secret_access_key=keys.secret,
                    verify=self._trusted(authority),
                    config=_client_config(),
                )
            )
            self._clients[url, region, keys, authority] = client
            return client

    def _trusted(self, authority: str) -> str | None:
        """A file of a location's ``caCert`` as long as clients may read it; None for the system's authorities."""
        if not authority:
            return None
        # Open until the stack closes: its clients read it at their first connection.
        file = self._stack.enter_context(tempfile.NamedTemporaryFile(suffix=".pem"))  # noqa: SIM115
        file.write(base64.b64decode(authority))
        file.flush()
        return file.name


def _new_session() -> Any:
    """A session with the service model already read: about 0.2 s of work that would block the loop."""
    from aioboto3.session import Session
    from aiobotocore.session import AioSession

    core = AioSession()
    loader = core.get_component("data_loader")
    loader.load_service_model("s3", "service-2")
    loader.load_service_model("s3", "endpoint-rule-set-1")
    return Session(botocore_session=core)


def _client_config() -> Any:
    from aiobotocore.config import AioConfig

    return AioConfig(
        signature_version="s3v4",
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        retries={"mode": "standard", "max_attempts": 3},
        connect_timeout=2,
        read_timeout=30,
        max_pool_connections=16,
    )
