"""Reading a tarball: whole ones are indexed, and no damage goes unseen."""

import gzip
import io
import json
import random
import struct
import tarfile
import tracemalloc
from pathlib import Path
from typing import IO, cast

import pytest

from app.proof import archive as module
from app.proof.archive import ArchiveDamaged, load_objects, read_archive, why_not_restorable
from app.proof.models import ObjectKey
from tests.proof.archives import (
    VERSION,
    Member,
    Object,
    a_tar,
    an_archive,
    an_object,
    members_of,
    place_of,
    python_archive,
    written,
)

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


def _header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size, entry.type = size, kind
    return entry.tobuf(tarfile.GNU_FORMAT)


def _entry(found: Object, *, kind: bytes = tarfile.REGTYPE, form: int = tarfile.GNU_FORMAT, **pax: str) -> bytes:
    """One object with its header."""
    content = json.dumps(found).encode()
    entry = tarfile.TarInfo(place_of(found))
    entry.size, entry.type, entry.pax_headers = len(content), kind, pax
    return entry.tobuf(form) + content + bytes(-len(content) % 512)


def _changed(entry: bytes, place: int, field: bytes, *, signed: bool = False) -> bytes:
    """A field of its header written anew, and its checksum too, in one of the two ways there are."""
    header = entry[:place] + field + entry[place + len(field) : 512]
    header = header[:148] + b" " * 8 + header[156:]
    total = sum(each - 256 if signed and each > 127 else each for each in header)
    return header[:148] + b"%06o\0 " % total + header[156:] + entry[512:]


def _sparse(found: Object) -> bytes:
    """An object in the old format of files with holes, though without one: JSON has no zeros."""
    size = b"%011o\0" % 512
    header = _changed(_entry(found, kind=tarfile.GNUTYPE_SPARSE), 124, size)
    header = _changed(_changed(header, 386, b"%011o\0" % 0 + size), 483, size)
    return header[:512] + json.dumps(found).encode().ljust(512)


def _directory(name: str) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.type = tarfile.DIRTYPE
    return entry.tobuf(tarfile.GNU_FORMAT)


PLAIN = _entry(CONFIG)
LONG = an_object("ConfigMap", "x" * 90, data={"key": "value"})
LONGER = an_object("ConfigMap", "x" * 240)
SIZE_OF_PAX = _entry(CONFIG, form=tarfile.PAX_FORMAT, size=str(len(BODY)))
BASE_256 = b"\x80" + bytes(7) + struct.pack(">I", len(BODY))
HEADERS: dict[str, bytes] = {
    "of the GNU format": PLAIN,
    "of POSIX": _entry(CONFIG, form=tarfile.USTAR_FORMAT),
    "of no format": _changed(PLAIN, 257, bytes(8)),
    "a name of the whole field": _entry(an_object("ConfigMap", "x" * 58)),
    "a name in two fields": _entry(LONG, form=tarfile.USTAR_FORMAT),
    "a long name of GNU": _entry(LONGER),
    "a long name of pax": _entry(LONGER, form=tarfile.PAX_FORMAT),
    "a name that is not ASCII": _entry(an_object("ConfigMap", "größe")),
    "more of pax": _entry(CONFIG, form=tarfile.PAX_FORMAT, comment="none", mtime="1.5"),
    "a size of pax": SIZE_OF_PAX[:1024] + _changed(PLAIN, 124, b"0" * 11),
    "a size to the base of 256": _changed(PLAIN, 124, BASE_256),
    "a size with spaces": _changed(PLAIN, 124, b"%11o " % len(BODY)),
    "a checksum with spaces": PLAIN[:148] + b"%6o \0" % int(PLAIN[148:154], 8) + PLAIN[156:],
    "a checksum of signed bytes": _changed(PLAIN, 265, "größe".encode(), signed=True),
    "a file of old": _changed(PLAIN, 156, tarfile.AREGTYPE),
    "a file in one piece": _entry(CONFIG, kind=tarfile.CONTTYPE),
    "a file of another kind": _entry(LONG, kind=b"Z") + PLAIN,
    "a directory": _directory("resources/") + PLAIN,
    "a directory with a size": _changed(_directory("resources/"), 124, b"%011o\0" % 512) + PLAIN,
    "a file with holes": _sparse(CONFIG),
}  # fmt: skip


@pytest.mark.parametrize("entries", HEADERS.values(), ids=HEADERS.keys())
def test_every_header_is_read_as_tarfile_reads_it(tmp_path: Path, entries: bytes) -> None:
    """Also those that are not read by its own code."""
    tar = a_tar([VERSION], ended=False) + entries + PLAIN + bytes(1024)
    with tarfile.open(fileobj=io.BytesIO(tar)) as plain:
        expected = [
            json.loads(cast("IO[bytes]", plain.extractfile(member)).read()) for member in plain if _object(member)
        ]
    path = written(tmp_path / "a", gzip.compress(tar))
    assert [found for _, found in load_objects(path, lambda _key: True)] == expected
    assert len(expected) > 1


def _object(member: tarfile.TarInfo) -> bool:
    return member.isfile() and member.name.startswith("resources/")


PAX_OF_NOTHING = _entry(CONFIG, kind=tarfile.XHDTYPE)[:512]
BAD_HEADERS: dict[str, bytes] = {
    "a bit of the name": b"s" + PLAIN[1:],
    "a checksum that is higher by one": PLAIN[:148] + b"%06o" % (int(PLAIN[148:154], 8) + 1) + PLAIN[154:],
    "a checksum that is higher by 65,521": PLAIN[:148] + b"%06o" % (int(PLAIN[148:154], 8) + 65521) + PLAIN[154:],
    "a bit of the name, beside one that is not ASCII": b"s" + _changed(PLAIN, 265, "größe".encode())[1:],
    "a mode that is no number": _changed(PLAIN, 100, b"rwxr-xr"),
    "a size that is no number": _changed(PLAIN, 124, b"0x000000010"),
    "a size below zero": _changed(PLAIN, 124, b"\xff" * 10 + b"\xfc\x00"),
    "a size below zero of another kind of file": _changed(_entry(CONFIG, kind=b"Z"), 124, b"\xff" * 10 + b"\xfc\x00"),
    "a size of pax below zero": _entry(CONFIG, form=tarfile.PAX_FORMAT, size="-1024"),
    "a size that is far too large": _changed(PLAIN, 124, b"7" * 11),
    "a size beyond every number of tar": _changed(PLAIN, 124, b"\x80" + b"\xff" * 11),
    "a header about a header without end": _changed(PAX_OF_NOTHING, 124, b"0" * 11) * 5000,
    "a long name that is far too long": _header("long", 2**40, tarfile.GNUTYPE_LONGNAME),
}  # fmt: skip


@pytest.mark.parametrize("entries", BAD_HEADERS.values(), ids=BAD_HEADERS.keys())
def test_a_header_that_is_wrong_is_damage(tmp_path: Path, entries: bytes) -> None:
    """Though the stream around it is good; nor is anything set aside for what a header only claims."""
    tar = a_tar(members_of([NODE_WIDE]), ended=False) + entries + bytes(1024)
    path = written(tmp_path / "a", gzip.compress(tar))
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveDamaged):
            read_archive(path)
        assert tracemalloc.get_traced_memory()[1] < 24 * 1024 * 1024
    finally:
        tracemalloc.stop()


def zeros(path: Path, mebibytes: int, before: bytes = b"") -> Path:
    """A gzip of very many zeros, made in pieces."""
    with gzip.open(path, "wb", compresslevel=9) as stream:
        stream.write(before)
        for _ in range(mebibytes):
            stream.write(bytes(1024 * 1024))
    return path


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
