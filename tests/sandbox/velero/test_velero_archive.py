"""The tarball's layout, reading it back, and damaging it on purpose."""

import io
import tarfile

import pytest

from app.sandbox.apiclient import ResourceType
from app.sandbox.velero.archive import ArchiveError, ArchiveKey, Item, read_archive, rewrite_archive, write_archive

DEPLOYMENTS = ResourceType("apps", "v1", "deployments", "Deployment", namespaced=True)
NAMESPACES = ResourceType("", "v1", "namespaces", "Namespace", namespaced=False)
CART = ArchiveKey("deployments.apps", "shop", "cart")


@pytest.fixture
def archive() -> bytes:
    cart = {"metadata": {"name": "cart", "namespace": "shop", "resourceVersion": "7"}}
    return write_archive([Item(DEPLOYMENTS, cart), Item(NAMESPACES, {"metadata": {"name": "shop"}})])


def test_each_object_stands_twice_in_veleros_layout(archive: bytes) -> None:
    """Plainly and below its preferred version, after the format's version."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        assert tar.getnames() == [
            "metadata/version",
            "resources/deployments.apps/namespaces/shop/cart.json",
            "resources/deployments.apps/v1-preferredversion/namespaces/shop/cart.json",
            "resources/namespaces/cluster/shop.json",
            "resources/namespaces/v1-preferredversion/cluster/shop.json",
        ]
        version = tar.extractfile("metadata/version")
        assert version is not None
        assert version.read() == b"1.1.0\n"


def test_reading_gives_the_plain_copies(archive: bytes) -> None:
    """One entry per object, by resource, namespace and name."""
    assert set(read_archive(archive)) == {CART, ArchiveKey("namespaces", "", "shop")}


@pytest.mark.parametrize("damage", ["truncated", "overwritten", "empty"])
def test_a_damaged_tarball_is_not_read(archive: bytes, damage: str) -> None:
    """Truncated, overwritten and empty ones are errors, never fewer objects."""
    damaged = {"truncated": archive[:-40], "overwritten": b"x" * len(archive), "empty": b""}[damage]
    with pytest.raises(ArchiveError):
        read_archive(damaged)


def test_rewriting_leaves_out_both_copies(archive: bytes) -> None:
    """An object taken out is gone from everywhere."""
    smaller = rewrite_archive(archive, lambda key, content: None if key == CART else content)
    with tarfile.open(fileobj=io.BytesIO(smaller)) as tar:
        assert [name for name in tar.getnames() if "cart" in name] == []
