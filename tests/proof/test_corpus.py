"""The corpus, each kind with a few seeds; ``make corpus`` proves thousands."""

import pytest

from app.kubernetes.client import KubeClient
from app.storage.s3 import S3Store
from tests.proof.backups import Shop
from tests.proof.corpus import BLIND, SEEN
from tests.proof.corpus_run import OBJECTS, damaged, good_ones
from tests.proof.object_store import ObjectStore


@pytest.fixture
async def shop(kube: KubeClient, store: S3Store, namespace: str, object_store: ObjectStore) -> Shop:
    """Some objects, listed."""
    found = Shop(kube, store, namespace, object_store.directory)
    for number in range(OBJECTS):
        await found.add(f"object-{number}")
    await found.take_stock()
    return found


async def test_every_change_of_content_or_structure_is_found_at_a_first_proof(shop: Shop) -> None:
    """Without anything to hold it against but the list made before."""
    figures = await damaged(shop, SEEN, range(2), kept_hashes=False)
    assert figures.misses == []
    assert figures.tried.total() == 2 * len(SEEN)


async def test_what_a_first_proof_cannot_see_is_known(shop: Shop) -> None:
    """Should one of these be found one day, the list of excuses gets shorter."""
    assert (await damaged(shop, BLIND, range(1), kept_hashes=False)).found.total() == 0


async def test_every_change_at_all_is_found_against_kept_hashes(shop: Shop) -> None:
    """Also of what nobody reads."""
    assert (await damaged(shop, [*SEEN, *BLIND], range(1), kept_hashes=True)).misses == []


async def test_good_backups_of_a_changing_cluster_are_proven(shop: Shop) -> None:
    """No false alarm."""
    assert (await good_ones(shop, range(20))).misses == []
