"""What can go wrong between us and the object store."""

from app.errors import ServiceError, TemporaryError


class ObjectStoreError(ServiceError):
    """The store answered with an error; ``s3_code`` is its own word for it."""

    code, status, title = "object-store-error", 502, "The object store refused"


class ObjectNotFound(ObjectStoreError):
    """No such key or bucket."""

    code, status, title = "object-not-found", 404, "Object not found"


class BucketMissing(ObjectStoreError):
    """There is no such bucket."""

    code, status, title = "bucket-missing", 409, "The bucket is not there"


class ForeignPrefix(ObjectStoreError):
    """The part of the store that an instance would use belongs to another one, or to nobody known."""

    code, status, title = "foreign-prefix", 409, "The place in the store belongs to somebody else"


class ObjectDamaged(ObjectStoreError):
    """What came is not what the store said it would send."""

    code, status, title = "object-damaged", 502, "The object is damaged"


class ObjectStoreUnavailable(TemporaryError):
    """The store did not answer, or asked for patience."""

    code, status, title = "object-store-unavailable", 503, "The object store does not answer"


class LocalFileUnusable(ServiceError):
    """What the store sent could not be written on this machine."""

    code, status, title = "local-file-unusable", 500, "A local file cannot be written"
