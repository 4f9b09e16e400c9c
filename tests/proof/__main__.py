"""``python -m tests.proof``: the whole corpus with figures; the exit status says whether anything was missed."""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from app.kubernetes.client import KubeClient
from app.kubernetes.resources import NAMESPACES
from app.ports import ClusterAccess
from app.storage.s3 import S3Store
from tests.proof.backups import Shop
from tests.proof.corpus import BLIND, SEEN
from tests.proof.corpus_run import OBJECTS, Figures, damaged, good_ones
from tests.proof.object_store import ObjectStore, running_object_store
from tests.sandbox.api_server import running_api

SEEDS = range(30)
GOOD_ONES = range(1000)


async def prove_corpus(directory: Path, server: ObjectStore) -> list[tuple[str, Figures]]:
    """Three parts: a first proof, one against kept hashes, and good backups."""
    async with (
        running_api(directory / "api") as api,
        await KubeClient.connect(ClusterAccess(api.kubeconfig)) as kube,
        S3Store(server.url, server.credentials, "corpus") as store,
    ):
        await store.ensure_bucket()
        await kube.create(NAMESPACES, {"metadata": {"name": "shop"}})
        shop = Shop(kube, store, "shop", server.directory)
        for number in range(OBJECTS):
            await shop.add(f"object-{number}")
        await shop.take_stock()
        return [
            ("Damage found at a first proof", await damaged(shop, SEEN, SEEDS, kept_hashes=False)),
            (
                "Changes found against kept hashes",
                await damaged(shop, [*SEEN, *BLIND], SEEDS, kept_hashes=True),
            ),
            ("Good backups proven", await good_ones(shop, GOOD_ONES)),
        ]


def main() -> int:
    """1 when there was a miss."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="corpus-") as scratch:
        directory = Path(scratch)
        (directory / "store").mkdir()
        (directory / "api").mkdir()
        with running_object_store(directory / "store") as server:
            parts = asyncio.run(prove_corpus(directory, server))
    for title, figures in parts:
        sys.stdout.write(f"{title}\n{figures}\n\n")
    sys.stdout.write("Not found at a first proof\n")
    for kind, why in BLIND.items():
        sys.stdout.write(f"  {kind.__name__.replace('_', ' ')}: {why}\n")
    sys.stdout.write(f"\n{time.monotonic() - began:.0f} s\n")
    return int(any(figures.misses for _, figures in parts))


if __name__ == "__main__":
    sys.exit(main())
