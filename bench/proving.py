"""The proof of a backup with 2 GB of JSON in its archive, beside reading that archive without looking at it.

``python -m bench.proving URL DIRECTORY`` is the process that proves: nothing else is in its memory.
"""

import asyncio
import gzip
import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import boto3
import psutil

from app.proof.models import Inventory, InventoryItem, ObjectKey
from app.proof.prove import ProofRequest, prove_backup
from app.storage import layout
from app.storage.s3 import S3Credentials, S3Store
from bench.measure import Measure
from tests.proof.archives import Object, a_tar, an_object, members_of
from tests.proof.backups import NAME, UID, good_backup, upload
from tests.proof.object_store import ObjectStore, running_object_store

#: Each stands twice in the archive, as Velero writes it.
OBJECTS, OBJECT_BYTES = 20_000, 50_000
ROUNDS = 3
BUCKET = "bench"
NAMESPACE = "shop"


async def measure_proof(directory: Path) -> list[Measure]:
    """Megabytes of JSON a second, and the memory it takes."""
    directory.mkdir()
    with running_object_store(directory) as server:
        size = await _put_backup(server, directory / "archive")
        ours, plain, memory = [], [], []
        for _ in range(ROUNDS):
            plain.append(size / await asyncio.to_thread(_piped, server))
            seconds, more = await _in_a_process(server)
            ours.append(size / seconds)
            memory.append(more)
    beside = "GET | gunzip | sha256sum"
    return [
        Measure("proof of 2 GB", ours, beside, plain, goal_ratio=0.5, unit="MB/s", more_is_better=True),
        Measure("memory for that proof, beyond what was there", memory, goal=64, unit="MiB"),
    ]


def objects() -> Iterator[Object]:
    """ConfigMaps of files in YAML, as charts make them: text that shrinks to a tenth."""
    chance = random.Random(20261128)  # noqa: S311 - the same each time
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(3, 10))) for _ in range(500)]
    lines = [f"  {chance.choice(words)}: {chance.choice(words)}-{chance.randrange(1000)}" for _ in range(2000)]
    for number in range(OBJECTS):
        start = chance.randrange(1000)
        text = "\n".join(lines[start : start + 1000] * 4)[:OBJECT_BYTES]
        yield an_object("ConfigMap", f"settings-{number}", NAMESPACE, data={"settings.yaml": text})


async def _put_backup(server: ObjectStore, path: Path) -> float:
    """The backup in its bucket; megabytes of the archive unpacked."""
    size = await asyncio.to_thread(_write_archive, path)
    names = [an_object("ConfigMap", f"settings-{number}", NAMESPACE) for number in range(OBJECTS)]
    async with S3Store(server.url, server.credentials, BUCKET) as store:
        await store.ensure_bucket()
        await upload(store, good_backup(names))
        await store.upload(path, layout.contents_key(NAME))
    path.unlink()
    return size / 1e6


def _write_archive(path: Path) -> int:
    size = 0
    with gzip.open(path, "wb", compresslevel=1) as file:
        for number, found in enumerate(objects()):
            part = a_tar(members_of([found])[bool(number) :], ended=number == OBJECTS - 1)
            size += len(part)
            file.write(part)
    return size


def _piped(server: ObjectStore) -> float:
    """Seconds of the plainest way to see every byte."""
    keys = {"aws_access_key_id": server.credentials.access_key, "aws_secret_access_key": server.credentials.secret_key}
    client = boto3.client("s3", endpoint_url=server.url, region_name="minio", **keys)
    began = time.perf_counter()
    pipe = subprocess.Popen(["sh", "-c", "gunzip | sha256sum"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)  # noqa: S607
    body = client.get_object(Bucket=BUCKET, Key=layout.contents_key(NAME))["Body"]
    shutil.copyfileobj(body, pipe.stdin, 1024 * 1024)
    pipe.stdin.close()
    if pipe.wait():
        raise RuntimeError("the archive cannot be read")
    return time.perf_counter() - began


async def _in_a_process(server: ObjectStore) -> tuple[float, float]:
    """Seconds and MiB of a proof."""
    keys = [server.credentials.access_key, server.credentials.secret_key]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.proving", server.url, str(server.directory), *keys, stdout=subprocess.PIPE
    )
    answer = json.loads((await process.communicate())[0])
    return answer["seconds"], answer["mebibytes"]


async def prove(url: str, directory: str, *keys: str) -> dict[str, float]:
    """What that process measures of itself."""
    items = [
        InventoryItem(
            key=ObjectKey(resource="configmaps", namespace=NAMESPACE, name=f"settings-{number}"),
            uid=f"uid-ConfigMap-settings-{number}",
            resource_version="10",
        )
        for number in range(OBJECTS)
    ]
    request = ProofRequest(
        backup=NAME, backup_uid=UID, instance_id="i", cluster_uid="c", full=True, not_saved=[],
        inventory=Inventory(taken_at=datetime.now(UTC), items=items), host_directory=Path(directory),
    )  # fmt: skip
    async with S3Store(url, S3Credentials(*keys), BUCKET) as store:
        before, began = psutil.Process().memory_info().rss, time.perf_counter()
        # No object is absent, so the cluster is not asked for any.
        proof, _ = await prove_backup(request, cast("Any", None), store)
        seconds = time.perf_counter() - began
    if (proof.verdict, proof.items_in_backup) != ("proven", OBJECTS):
        raise RuntimeError(f"{proof.verdict}: {proof.findings}")
    return {"seconds": seconds, "mebibytes": peak_bytes() / 2**20 - before / 2**20}


def peak_bytes() -> int:
    """Of this program's resident memory; what the system calls its maximum begins with that of whoever started it."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(prove(*sys.argv[1:]))))
