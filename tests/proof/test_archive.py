"""Reading a tarball: whole ones are indexed, and no damage goes unseen."""

import gzip
import json
import random
import struct
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from app.proof import archive as module
from app.proof.archive import ArchiveDamaged, load_objects, read_archive, why_not_restorable
from app.proof.models import ObjectKey
from tests.proof.archives import VERSION, Member, a_tar, an_archive, an_object, members_of, python_archive, written

CONFIG = an_object("ConfigMap", "settings", data={"key": "value"})
NODE_WIDE = an_object("Namespace", "shop", "")
OBJECTS = [CONFIG, NODE_WIDE, an_object("Pod", "web")]
SETTINGS = ObjectKey(resource="configmaps", namespace="shop", name="settings")


@pytest.mark.parametrize("make", [an_archive, python_archive])
def test_a_whole_archive_is_indexed(tmp_path: Path, make: type) -> None:
    """Whether its end is padded or not; copies by version are no objects of their own."""
    found = read_archive(written(tmp_path / "a", make(OBJECTS)))
    assert {str(key) for key in found.items} == {"configmaps shop/settings", "namespaces shop", "pods shop/web"}
    assert found.format_version == "1.1.0"
    assert (found.items[SETTINGS].uid, found.items[SETTINGS].resource_version) == ("uid-ConfigMap-settings", "10")


def test_an_empty_backup_is_whole(tmp_path: Path) -> None:
    """A scope may match nothing."""
    assert read_archive(written(tmp_path / "a", an_archive([]))).items == {}


def test_an_object_under_its_controller_is_known(tmp_path: Path) -> None:
    """Only if the controller is in the archive too: only then somebody makes the object anew."""

    def owned(name: str, owner: str) -> dict[str, object]:
        return an_object("Pod", name, metadata={"ownerReferences": [{"uid": owner, "controller": True}]})

    replica_set = an_object("ReplicaSet", "web")
    objects = [replica_set, owned("a", "uid-ReplicaSet-web"), owned("b", "uid-of-a-node"), an_object("Pod", "naked")]
    found = read_archive(written(tmp_path / "a", an_archive(objects)))
    controlled = {key.name for key, item in found.items.items() if found.has_controller_of(item)}
    assert controlled == {"a"}


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (an_object("Pod", "p", status={"phase": "Succeeded"}), "it has finished"),
        (an_object("Pod", "p", status={"phase": "Failed"}), "it has finished"),
        (an_object("Pod", "p", status={"phase": "Running"}), ""),
        (an_object("Job", "j", status={"completionTime": "2026-11-23T09:00:00Z"}), "it has finished"),
        (an_object("Job", "j", status={"active": 1}), ""),
        (an_object("Job", "j") | {"apiVersion": "volcano.sh/v1", "status": {"completionTime": "x"}}, ""),
        (an_object("PersistentVolume", "v", "", spec={"persistentVolumeReclaimPolicy": "Retain"}), ""),
        (an_object("ConfigMap", "c", status="a word"), ""),
    ],
)
def test_what_no_restore_brings_back(found: dict[str, object], reason: str) -> None:
    """Finished work, by the type and not by the mere name of the kind."""
    assert why_not_restorable(found) == reason


def test_objects_are_loaded_by_key(tmp_path: Path) -> None:
    """Each once, whole."""
    path = written(tmp_path / "a", an_archive(OBJECTS))
    assert list(load_objects(path, {SETTINGS}.__contains__)) == [(SETTINGS, CONFIG)]


def test_copies_of_other_versions_are_read_but_not_listed(tmp_path: Path) -> None:
    """A feature of Velero writes them."""
    member = ("resources/configmaps/v1beta1/namespaces/shop/settings.json", json.dumps(CONFIG).encode())
    found = read_archive(written(tmp_path / "a", gzip.compress(a_tar([*members_of(OBJECTS), member]))))
    assert len(found.items) == len(OBJECTS)


def test_a_backup_from_before_there_were_copies_is_read(tmp_path: Path) -> None:
    """Format 1.0; files beside its version are Velero's own."""
    members = [("metadata/version", b"1.0.0\n"), ("metadata/more", b"x"), (PLACE, BODY)]
    assert list(read_archive(written(tmp_path / "a", gzip.compress(a_tar(members)))).items) == [SETTINGS]


@pytest.mark.parametrize("tenth", range(10))
def test_a_truncated_archive_is_damaged(tmp_path: Path, tenth: int) -> None:
    """Cut off at ten places, the last one byte before the end."""
    whole = an_archive([an_object("ConfigMap", f"c{number}", data={"n": str(number)}) for number in range(50)])
    end = len(whole) - 1 if tenth == 9 else len(whole) * tenth // 9
    with pytest.raises(ArchiveDamaged):
        read_archive(written(tmp_path / "a", whole[:end]))


@pytest.mark.parametrize("seed", range(20))
def test_a_flipped_bit_never_changes_what_is_read(tmp_path: Path, seed: int) -> None:
    """Anywhere behind the gzip header; the few bits that fill the last byte of the packed data mean nothing."""
    whole = bytearray(an_archive(OBJECTS))
    place = random.Random(seed).randrange(10, len(whole))  # noqa: S311
    whole[place] ^= 1 << (seed % 8)
    try:
        found = read_archive(written(tmp_path / "a", bytes(whole)))
    except ArchiveDamaged:
        return
    assert found == read_archive(written(tmp_path / "b", an_archive(OBJECTS)))


def _header_broken() -> bytes:
    tar = bytearray(a_tar(members_of(OBJECTS)))
    second = tar.index(b"resources/")
    tar[second] ^= 1
    return gzip.compress(bytes(tar))


def _cut_inside_an_object() -> bytes:
    tar = a_tar([VERSION, ("resources/configmaps/namespaces/shop/settings.json", b" " * 4000)], ended=False)
    return gzip.compress(tar[:-2000])


GOOD = an_archive(OBJECTS)
STREAMS = {
    "empty": b"",
    "no gzip": b"overwritten " * 100,
    "no tar in it": gzip.compress(b"overwritten " * 100),
    "no end mark": gzip.compress(a_tar(members_of(OBJECTS), ended=False)),
    "half an end mark": gzip.compress(a_tar(members_of(OBJECTS), ended=False) + bytes(512)),
    "a header broken in a good gzip": _header_broken(),
    "an object cut in a good gzip": _cut_inside_an_object(),
    "garbage behind the gzip": GOOD + b"garbage",
    "garbage behind the tar": gzip.compress(a_tar(members_of(OBJECTS)) + b"garbage" + bytes(2000)),
    "another archive behind it": GOOD + GOOD,
    "a wrong checksum": GOOD[:-8] + struct.pack("<I", 1) + GOOD[-4:],
    "a wrong length": GOOD[:-4] + struct.pack("<I", 1),
}


@pytest.mark.parametrize("content", STREAMS.values(), ids=STREAMS.keys())
def test_a_damaged_stream_is_found(tmp_path: Path, content: bytes) -> None:
    """Also where tarfile by itself would take the damage for the end."""
    with pytest.raises(ArchiveDamaged):
        read_archive(written(tmp_path / "a", content))


PLACE = "resources/configmaps/namespaces/shop/settings.json"
BODY = json.dumps(CONFIG).encode()
COPY = "resources/configmaps/v1-preferredversion/namespaces/shop/settings.json"
MEMBERS: dict[str, list[Member]] = {
    "an object twice": [VERSION, (PLACE, BODY), (COPY, BODY), (PLACE, BODY)],
    "a copy twice": [VERSION, (PLACE, BODY), (COPY, BODY), (COPY, BODY)],
    "an object without its copy": [VERSION, (PLACE, BODY)],
    "a copy without its object": [VERSION, (COPY, BODY)],
    "a copy with one more space": [VERSION, (PLACE, BODY), (COPY, BODY + b" ")],
    "a file that no backup has": [VERSION, (PLACE, BODY), (COPY, BODY), ("etc/passwd", b"root")],
    "no version": [(PLACE, BODY)],
    "a version to come": [("metadata/version", b"2.0.0\n"), (PLACE, BODY)],
    "no JSON": [VERSION, (PLACE, b'{"metadata"')],
    "no text": [VERSION, (PLACE, b"\xff\xfe\x00")],
    "no object": [VERSION, (PLACE, b"[]")],
    "nothing": [VERSION, (PLACE, b"")],
    "no metadata": [VERSION, (PLACE, b"{}")],
    "metadata of another kind": [VERSION, (PLACE, b'{"metadata": 7}')],
    "owners of another kind": [VERSION, (PLACE, BODY.replace(b'"uid"', b'"ownerReferences": 7, "uid"'))],
    "brackets without end": [VERSION, (PLACE, b"[" * 100_000)],
    "another object's name": [VERSION, (PLACE.replace("settings", "other"), BODY)],
    "another namespace": [VERSION, (PLACE.replace("shop", "other"), BODY)],
    "a namespaced object among cluster-scoped ones": [VERSION, ("resources/configmaps/cluster/settings.json", BODY)],
    "a place that is none": [VERSION, ("resources/configmaps/settings.json", BODY)],
    "a place too deep": [VERSION, ("resources/configmaps/namespaces/shop/deeper/settings.json", BODY)],
    "a damaged copy": [VERSION, (PLACE, BODY), (PLACE.replace("namespaces", "v1-preferredversion/namespaces"), b"{")],
    "a copy of another": [VERSION, ("resources/configmaps/v1-preferredversion/namespaces/shop/other.json", BODY)],
}  # fmt: skip


@pytest.mark.parametrize("members", MEMBERS.values(), ids=MEMBERS.keys())
def test_content_that_is_not_what_its_name_says_is_damage(tmp_path: Path, members: list[Member]) -> None:
    """A good stream is not enough."""
    with pytest.raises(ArchiveDamaged):
        read_archive(written(tmp_path / "a", gzip.compress(a_tar(members))))


def zeros(path: Path, mebibytes: int, before: bytes = b"") -> Path:
    """A gzip of very many zeros, made in pieces."""
    with gzip.open(path, "wb", compresslevel=9) as stream:
        stream.write(before)
        for _ in range(mebibytes):
            stream.write(bytes(1024 * 1024))
    return path


def _header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size, entry.type = size, kind
    return entry.tobuf(tarfile.GNU_FORMAT)


BOMBS = {
    "object": _header(PLACE, 40 * 1024 * 1024),
    "header": _header("long", 40 * 1024 * 1024, tarfile.GNUTYPE_LONGNAME),
    "padding": b"",
}


@pytest.mark.parametrize("header", BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_is_refused_in_bounded_memory(tmp_path: Path, header: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Zeros as an object, as a header, or behind the end; the limit is made small here."""
    monkeypatch.setattr(module, "MOST_OBJECT_BYTES", 4 * 1024 * 1024)
    path = zeros(tmp_path / "a", 40, a_tar([VERSION], ended=False) + header)
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveDamaged, match="unreasonabl"):
            read_archive(path)
        assert tracemalloc.get_traced_memory()[1] < 24 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_many_objects_cost_no_more_memory_than_their_index(tmp_path: Path) -> None:
    """Neither the contents nor the tar's own list of members is kept."""
    objects = [an_object("ConfigMap", f"c{number}", data={"text": "x" * 2000}) for number in range(3000)]
    path = written(tmp_path / "a", an_archive(objects))
    del objects
    tracemalloc.start()
    try:
        assert len(read_archive(path).items) == 3000
        assert tracemalloc.get_traced_memory()[1] < 8 * 1024 * 1024
    finally:
        tracemalloc.stop()
