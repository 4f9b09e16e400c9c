"""The key an object store encrypts with: what may be told of it, and what must not."""

import hashlib
from dataclasses import dataclass, field


@dataclass(frozen=True)
class EncryptionKey:
    """A name, which may be told, and 32 random bytes in base64, which may not."""

    key_id: str
    secret: str = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """Tells one key from another; of 32 random bytes it gives nothing away."""
        return hashlib.sha256(self.secret.encode()).hexdigest()[:16]

    @property
    def text(self) -> str:
        """``<id>:<base64>``, as MinIO reads it and as it lies in its file."""
        return f"{self.key_id}:{self.secret}"


@dataclass(frozen=True)
class StoreEncryption:
    """The key of a store that holds, or is to hold, encrypted objects.

    ``everything``: whatever is put is encrypted, and what lies there in clear is to be encrypted now. Otherwise the
    key is only there to read what was encrypted once.
    """

    key: EncryptionKey
    everything: bool
