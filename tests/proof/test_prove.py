"""The whole proof, between a real API server and a real S3 server."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.errors import ServiceError
from app.kubernetes.client import KubeClient
from app.kubernetes.resources import CONFIG_MAPS
from app.proof.examine import rehashed
from app.proof.index import INDEX_FILE
from app.proof.models import Proof
from app.proof.prove import look_at_backup, prove_backup
from app.storage import layout
from app.storage.s3 import S3Store
from tests.proof.archives import an_archive
from tests.proof.backups import EMPTY_RESULTS, NAME, UID, Shop, good_backup, upload, zipped
from tests.proof.object_store import ObjectStore

Content = dict[str, bytes]


@pytest.fixture
async def shop(kube: KubeClient, store: S3Store, namespace: str, object_store: ObjectStore) -> Shop:
    """Three objects, listed."""
    found = Shop(kube, store, namespace, object_store.directory)
    for name in ("one", "two", "three"):
        await found.add(name)
    await found.take_stock()
    return found


async def prove(shop: Shop, content: Content, **changes: Any) -> Proof:
    """Upload and judge."""
    await upload(shop.store, content)
    proof, _ = await prove_backup(shop.request(**changes), shop.kube, shop.store)
    return proof


def codes(proof: Proof) -> set[str]:
    return {finding.code for finding in proof.findings}


async def test_a_good_backup_is_proven(shop: Shop) -> None:
    """With figures of everything that was looked at."""
    content = good_backup(await shop.objects())
    proof = await prove(shop, content)
    assert (proof.verdict, proof.findings) == ("proven", [])
    assert proof.items_in_inventory == len(shop.inventory.items)
    assert {digest.key: digest.size for digest in proof.objects} == {key: len(data) for key, data in content.items()}
    assert proof.size_bytes == sum(map(len, content.values()))
    assert proof.canary.status == "found"
    assert proof.started_at <= proof.finished_at


async def test_the_small_objects_are_given_back_for_keeping(shop: Shop) -> None:
    """All but the archive, under names that are fit for files; in the archive's place stands its index."""
    content = good_backup(await shop.objects())
    await upload(shop.store, content | {f"{layout.backup_prefix(NAME)}.hidden": b"1", f"backups/{NAME}/a/b": b"2"})
    _, small = await prove_backup(shop.request(), shop.kube, shop.store)
    assert small.pop(INDEX_FILE) != b""
    assert small == {key.rsplit("/", 1)[1]: data for key, data in content.items() if key != layout.contents_key(NAME)}


async def test_a_proof_holds_no_content(shop: Shop) -> None:
    """It goes to places where no Secret may."""
    proof = await prove(shop, good_backup(await shop.objects()))
    assert '"data"' not in proof.model_dump_json()
    assert len(proof.model_dump_json()) < 4000


def backup_document(**status: Any) -> bytes:
    return json.dumps({"metadata": {"name": NAME, "uid": UID}, "status": {"phase": "Completed", **status}}).encode()


def errors(**parts: Any) -> bytes:
    return zipped({**EMPTY_RESULTS, "errors": parts})


SPOILED: dict[str, tuple[Callable[[str], str], bytes | None, str]] = {
    "no metadata": (layout.metadata_key, None, "missing"),
    "metadata that is no JSON": (layout.metadata_key, b"<html>", "metadata"),
    "metadata that is no Backup": (layout.metadata_key, b"[]", "metadata"),
    "still finalizing in the bucket": (layout.metadata_key, backup_document(phase="Finalizing"), "phase"),
    "another backup of that name": (
        layout.metadata_key,
        json.dumps({"metadata": {"name": NAME, "uid": "other"}, "status": {"phase": "Completed"}}).encode(),
        "identity",
    ),
    "no archive": (layout.contents_key, None, "missing"),
    "an overwritten archive": (layout.contents_key, b"x" * 5000, "contents"),
    "an empty archive": (layout.contents_key, b"", "contents"),
    "no log": (layout.logs_key, None, "missing"),
    "a log with a broken gzip": (layout.logs_key, zipped("x")[:-6], "contents"),
    "a list of resources that is none": (layout.resource_list_key, zipped(["shop/one"]), "contents"),
    "a list of resources that names more": (layout.resource_list_key, zipped({"v1/Pod": ["shop/x"]}), "contents"),
    "no results": (layout.results_key, None, "missing"),
    "results that are no gzip": (layout.results_key, b"{}", "contents"),
    "results with a broken gzip": (layout.results_key, zipped(EMPTY_RESULTS)[:-6], "contents"),
    "results with flipped bits": (layout.results_key, zipped(EMPTY_RESULTS)[:12] + b"\xff" * 40, "contents"),
    "results of another form": (layout.results_key, zipped([1]), "results"),
    "an error of Velero's": (layout.results_key, errors(velero=["boom"]), "results"),
    "an error in a namespace": (layout.results_key, errors(namespaces={"shop": ["boom"]}), "results"),
    "no list of resources": (layout.resource_list_key, None, "missing"),
    "no list of volumes": (layout.volume_info_key, None, "missing"),
    "volumes of another form": (layout.volume_info_key, zipped({"a": 1}), "volumes"),
    "a volume that failed": (layout.volume_info_key, zipped([{"pvcName": "data", "result": "failed"}]), "volumes"),
    "a volume nobody backed up": (layout.volume_info_key, zipped([{"backupMethod": "PodVolumeBackup"}]), "volumes"),
    "an unfinished volume backup": (
        layout.pod_volume_backups_key,
        zipped([{"metadata": {"name": "v"}, "status": {"phase": "InProgress"}}]),
        "volumes",
    ),
    "a volume backup without a status": (layout.pod_volume_backups_key, zipped([{}]), "volumes"),
    "volume backups of another form": (layout.pod_volume_backups_key, zipped([1]), "volumes"),
}


@pytest.mark.parametrize("how", SPOILED)
async def test_a_spoiled_backup_fails_and_says_why(shop: Shop, how: str) -> None:
    """One object of the backup missing, broken, or telling of trouble; never an exception."""
    key_of, data, code = SPOILED[how]
    content = good_backup(await shop.objects())
    del content[key_of(NAME)]
    if data is not None:
        content[key_of(NAME)] = data
    proof = await prove(shop, content)
    assert proof.verdict == "failed"
    assert code in codes(proof)


async def test_good_volumes_and_warnings_do_not_fail(shop: Shop) -> None:
    """Warnings are counted, skipped volumes are the preflight's matter."""
    content = good_backup(await shop.objects())
    warnings = {"velero": ["a"], "namespaces": {"shop": ["b", "c"]}}
    content[layout.results_key(NAME)] = zipped({**EMPTY_RESULTS, "warnings": warnings})
    saved = {"pvcName": "data", "backupMethod": "PodVolumeBackup", "result": "succeeded"}
    content[layout.volume_info_key(NAME)] = zipped([saved, {"pvcName": "host", "skipped": True}])
    completed = {"metadata": {"name": "v"}, "status": {"phase": "Completed"}}
    content[layout.pod_volume_backups_key(NAME)] = zipped([completed])
    proof = await prove(shop, content)
    assert (proof.verdict, proof.warnings) == ("proven", 3)


async def test_an_object_left_out_fails_and_is_named(shop: Shop) -> None:
    """Though Velero said Completed."""
    objects = [found for found in await shop.objects() if found["metadata"]["name"] != "two"]
    proof = await prove(shop, good_backup(objects))
    assert [str(finding.object) for finding in proof.findings] == [f"configmaps {shop.namespace}/two"]
    assert codes(proof) == {"absent"}


async def test_an_object_in_an_older_version_fails_and_is_named(shop: Shop) -> None:
    """A backup must not be older than the list made before it."""
    objects = await shop.objects()
    await shop.kube.merge_patch(CONFIG_MAPS, "two", {"data": {"key": "new"}}, shop.namespace)
    await shop.take_stock()
    proof = await prove(shop, good_backup(objects))
    assert [str(finding.object) for finding in proof.findings] == [f"configmaps {shop.namespace}/two"]
    assert codes(proof) == {"older"}


async def test_an_object_deleted_before_the_backup_is_explained(shop: Shop) -> None:
    """It is nobody's loss."""
    await shop.kube.delete(CONFIG_MAPS, "two", shop.namespace)
    proof = await prove(shop, good_backup(await shop.objects()))
    assert (proof.verdict, proof.items_explained) == ("proven", 1)


async def test_an_object_made_anew_under_its_name_is_explained(shop: Shop) -> None:
    """The one that was listed is gone; the new one came after the list."""
    await shop.kube.delete(CONFIG_MAPS, "two", shop.namespace)
    objects = await shop.objects()
    await shop.add("two")
    proof = await prove(shop, good_backup(objects))
    assert (proof.verdict, proof.items_explained) == ("proven", 1)


async def test_an_object_that_is_going_is_explained(shop: Shop) -> None:
    """A finalizer holds it, the user has let go."""
    await shop.kube.merge_patch(CONFIG_MAPS, "two", {"metadata": {"finalizers": ["example.com/x"]}}, shop.namespace)
    await shop.take_stock()
    objects = [found for found in await shop.objects() if found["metadata"]["name"] != "two"]
    await shop.kube.delete(CONFIG_MAPS, "two", shop.namespace)
    proof = await prove(shop, good_backup(objects))
    assert (proof.verdict, proof.items_explained) == ("proven", 1)
    await shop.kube.merge_patch(CONFIG_MAPS, "two", {"metadata": {"finalizers": None}}, shop.namespace)


async def test_very_many_findings_are_counted_and_the_first_kept(shop: Shop) -> None:
    """A proof stays a small document."""
    item = next(item for item in shop.inventory.items if item.key.name == "two")
    many = [item.model_copy(update={"key": replace(item.key, name=f"n{n}")}) for n in range(300)]
    older = [entry.model_copy(update={"resource_version": "999999999"}) for entry in many]
    objects = [
        {"kind": "ConfigMap", "metadata": {"name": f"n{n}", "namespace": shop.namespace, "resourceVersion": "1"}}
        for n in range(300)
    ]
    inventory = shop.inventory.model_copy(update={"items": older})
    proof = await prove(shop, good_backup(objects), inventory=inventory)
    assert (len(proof.findings), proof.findings_total) == (200, 300)


async def test_groups_that_could_not_be_listed_are_told(shop: Shop) -> None:
    """Nobody knows what they held."""
    inventory = shop.inventory.model_copy(update={"failed_groups": ["metrics.k8s.io"]})
    proof = await prove(shop, good_backup(await shop.objects()), inventory=inventory, not_saved=["volume shop/data"])
    assert proof.not_saved == ["volume shop/data", "api-group metrics.k8s.io: its server did not answer"]


async def test_bytes_that_do_not_reach_the_host_fail(shop: Shop, tmp_path: Path) -> None:
    """The store works, and its data would die with the node."""
    proof = await prove(shop, good_backup(await shop.objects()), host_directory=tmp_path, canary_seconds=0.2)
    assert codes(proof) == {"canary"}


async def test_a_store_that_was_to_encrypt_and_does_not_fails(shop: Shop) -> None:
    """Found in clear where nothing was to be: nobody is told that it is encrypted."""
    proof = await prove(shop, good_backup(await shop.objects()), encrypted=True)
    assert codes(proof) == {"clear"}
    assert proof.canary.path in proof.findings[0].detail


async def test_an_external_store_has_no_canary(shop: Shop) -> None:
    """Its bytes are not on this host by design."""
    proof = await prove(shop, good_backup(await shop.objects()), host_directory=None)
    assert (proof.verdict, proof.canary.status) == ("proven", "n/a")


async def test_a_backup_that_is_not_there_at_all_fails(shop: Shop) -> None:
    """Every part of it is missing."""
    proof = await prove(shop, {})
    assert codes(proof) == {"missing"}
    assert proof.objects == []


async def test_a_store_that_does_not_answer_is_not_a_verdict(shop: Shop) -> None:
    """Nothing is known of the backup then."""
    async with S3Store("http://127.0.0.1:1", shop.store._credentials, "bucket") as gone:
        with pytest.raises(ServiceError):
            await prove_backup(shop.request(), shop.kube, gone)


async def test_what_was_proven_is_still_there(shop: Shop) -> None:
    """A start hashes every object again."""
    proof = await prove(shop, good_backup(await shop.objects()))
    assert (await rehashed(proof, shop.store)).findings == []


@pytest.mark.parametrize(("data", "code"), [(an_archive([]), "hash"), (None, "missing")])
async def test_what_was_changed_since_the_proof_is_found(shop: Shop, data: bytes | None, code: str) -> None:
    """Another archive, however good, or none."""
    proof = await prove(shop, good_backup(await shop.objects()))
    key = layout.contents_key(NAME)
    await (shop.store.delete([key]) if data is None else shop.store.put(key, data))
    findings = (await rehashed(proof, shop.store)).findings
    assert [finding.code for finding in findings] == [code]
    assert key in findings[0].detail


async def test_a_partial_failure_is_accepted_with_what_it_lacks(shop: Shop) -> None:
    """Where the user said so: everything else is read and held against the inventory as ever."""
    objects = await shop.objects()
    content = good_backup([each for each in objects if each["metadata"]["name"] != "two"])
    content[layout.metadata_key(NAME)] = backup_document(phase="PartiallyFailed")
    content[layout.results_key(NAME)] = errors(cluster=["configmaps two: refused"])
    proof = await prove(shop, content, accept_partial=True)
    assert (proof.verdict, codes(proof)) == ("accepted", {"phase", "results", "absent"})
    assert (await prove(shop, content)).verdict == "failed"
    content[layout.contents_key(NAME)] = b"cut off"
    assert (await prove(shop, content, accept_partial=True)).verdict == "failed"


@pytest.mark.parametrize(("spoil", "code"), [(layout.contents_key(NAME), "missing"), (None, "identity")])
async def test_a_quick_look_accepts_at_best(shop: Shop, spoil: str | None, code: str) -> None:
    """Nothing is read but the bucket's own Backup; an archive that is empty, or another's, is seen all the same."""
    await upload(shop.store, good_backup(await shop.objects()))
    proof = await look_at_backup(shop.request(), shop.store)
    assert (proof.verdict, proof.level, proof.objects, proof.findings) == ("accepted", "quick", [], [])
    if spoil is not None:
        await shop.store.put(spoil, b"")
    proof = await look_at_backup(shop.request(backup_uid=UID if spoil else "another"), shop.store)
    assert (proof.verdict, codes(proof)) == ("failed", {code})
