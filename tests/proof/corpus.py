"""Backups damaged in every way there is, and good ones made while their cluster changes.

Each kind of damage is a function of a good backup and a random generator: what it gives back is stored instead and
held against the inventory, as right after a backup. What a first proof cannot see is in ``BLIND``, with the reason;
against the hashes of an earlier proof nothing passes.
"""

import gzip
import json
import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.storage import layout
from tests.proof.archives import Member, a_tar, members_of
from tests.proof.backups import NAME, zipped

Content = dict[str, bytes]


@dataclass(frozen=True)
class Good:
    """A good backup: the members of its archive, and all objects in the bucket by key."""

    members: Sequence[Member]
    content: Content

    @classmethod
    def of(cls, objects: Sequence[dict[str, object]], content: Content) -> "Good":
        """The backup of these objects."""
        return cls(members_of(objects), content)


Damage = Callable[[Good, random.Random], Content]
ARCHIVE = layout.contents_key(NAME)


def packed(good: Good, members: Sequence[Member], **options: bool) -> Content:
    """The same backup with these members."""
    return good.content | {ARCHIVE: gzip.compress(a_tar(members, **options), mtime=0)}


def with_archive(good: Good, archive: bytes) -> Content:
    """The same backup with other bytes in the archive's place."""
    return good.content | {ARCHIVE: archive}


def _pick(good: Good, dice: random.Random, *, copy: bool = False) -> int:
    """A member that holds a ConfigMap, or such a one's copy."""
    wanted = [
        number
        for number, (name, _) in enumerate(good.members)
        if name.startswith("resources/configmaps/") and ("-preferredversion/" in name) is copy
    ]
    return dice.choice(wanted)


def _with(members: Sequence[Member], number: int, *instead: Member) -> list[Member]:
    return [*members[:number], *instead, *members[number + 1 :]]


def _edited(content: bytes, **metadata: str) -> bytes:
    found = json.loads(content)
    found["metadata"] |= metadata
    return json.dumps(found).encode()


def value_changed(good: Good, dice: random.Random) -> Content:
    """One value of one object."""
    number = _pick(good, dice)
    name, content = good.members[number]
    return packed(good, _with(good.members, number, (name, _other_value(content))))


def _other_value(content: bytes) -> bytes:
    found = json.loads(content)
    found["data"]["key"] += "x"
    return json.dumps(found).encode()


def copy_changed(good: Good, dice: random.Random) -> Content:
    """One value of the copy of one object."""
    number = _pick(good, dice, copy=True)
    name, content = good.members[number]
    return packed(good, _with(good.members, number, (name, _other_value(content))))


def older_version(good: Good, dice: random.Random) -> Content:
    """An object and its copy, both older."""
    return _both(good, dice, lambda content: _edited(content, resourceVersion="1"))


def _both(good: Good, dice: random.Random, change: Callable[[bytes], bytes]) -> Content:
    _, chosen = good.members[_pick(good, dice)]
    return packed(good, [(name, change(content) if content == chosen else content) for name, content in good.members])


def object_dropped(good: Good, dice: random.Random) -> Content:
    """An object and its copy."""
    _, chosen = good.members[_pick(good, dice)]
    return packed(good, [member for member in good.members if member[1] != chosen])


def original_dropped(good: Good, dice: random.Random) -> Content:
    """An object, not its copy."""
    return packed(good, _with(good.members, _pick(good, dice)))


def copy_dropped(good: Good, dice: random.Random) -> Content:
    """The copy of an object."""
    return packed(good, _with(good.members, _pick(good, dice, copy=True)))


def copies_dropped(good: Good, _: random.Random) -> Content:
    """All copies."""
    return packed(good, [member for member in good.members if "-preferredversion/" not in member[0]])


def object_doubled(good: Good, dice: random.Random) -> Content:
    """The same object once more."""
    return packed(good, [*good.members, good.members[_pick(good, dice)]])


def object_shadowed(good: Good, dice: random.Random) -> Content:
    """Another object under the same name, behind it: who unpacks gets that one."""
    name, content = good.members[_pick(good, dice)]
    return packed(good, [*good.members, (name, _other_value(content))])


def contents_swapped(good: Good, dice: random.Random) -> Content:
    """Two objects, each under the other's name."""
    first = _pick(good, dice)
    others = [
        n
        for n, (name, content) in enumerate(good.members)
        if name.endswith(".json") and content != good.members[first][1]
    ]
    second = dice.choice(others)
    members = _with(good.members, first, (good.members[first][0], good.members[second][1]))
    return packed(good, _with(members, second, (good.members[second][0], good.members[first][1])))


def object_renamed(good: Good, dice: random.Random) -> Content:
    """The path says another name than the object."""
    number = _pick(good, dice)
    name, content = good.members[number]
    return packed(good, _with(good.members, number, (name.replace(".json", "x.json"), content)))


def object_truncated(good: Good, dice: random.Random) -> Content:
    """Half of an object's JSON, in a good tar."""
    number = _pick(good, dice)
    name, content = good.members[number]
    return packed(good, _with(good.members, number, (name, content[: len(content) // 2])))


def object_emptied(good: Good, dice: random.Random) -> Content:
    """Nothing where an object was."""
    number = _pick(good, dice)
    return packed(good, _with(good.members, number, (good.members[number][0], b"")))


def foreign_file(good: Good, _: random.Random) -> Content:
    """Something that no backup has."""
    return packed(good, [*good.members, ("etc/passwd", b"root")])


def version_dropped(good: Good, _: random.Random) -> Content:
    """Without its format's version."""
    return packed(good, good.members[1:])


def version_to_come(good: Good, _: random.Random) -> Content:
    """Of a format nobody knows."""
    return packed(good, [("metadata/version", b"2.0.0\n"), *good.members[1:]])


def everything_dropped(good: Good, _: random.Random) -> Content:
    """A good archive with no object in it."""
    return packed(good, good.members[:1])


def foreign_cluster(good: Good, _: random.Random) -> Content:
    """The same names, objects of another cluster: its versions are its own."""
    return packed(
        good,
        [
            (name, _edited(content, resourceVersion="7", uid="elsewhere") if name.endswith(".json") else content)
            for name, content in good.members
        ],
    )


def end_mark_dropped(good: Good, _: random.Random) -> Content:
    """A tar that may have been cut off between two objects."""
    return packed(good, good.members, ended=False)


def tar_header_flipped(good: Good, dice: random.Random) -> Content:
    """One bit of a header in a good gzip."""
    tar = bytearray(a_tar(good.members))
    place = tar.index(good.members[_pick(good, dice)][0].encode()) + dice.randrange(148)
    tar[place] ^= 1 << dice.randrange(8)
    return with_archive(good, gzip.compress(bytes(tar)))


def object_flipped(good: Good, dice: random.Random) -> Content:
    """One bit of one object in a good gzip."""
    number = _pick(good, dice)
    name, content = good.members[number]
    changed = bytearray(content)
    changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return packed(good, _with(good.members, number, (name, bytes(changed))))


def gzip_flipped(good: Good, dice: random.Random) -> Content:
    """One bit of the packed data, which a checksum follows."""
    archive = bytearray(good.content[ARCHIVE])
    archive[dice.randrange(20, len(archive) - 20)] ^= 1 << dice.randrange(8)
    return with_archive(good, bytes(archive))


def gzip_truncated(good: Good, dice: random.Random) -> Content:
    """Cut off anywhere."""
    archive = good.content[ARCHIVE]
    return with_archive(good, archive[: dice.randrange(len(archive))])


def gzip_checksum(good: Good, dice: random.Random) -> Content:
    """Another checksum."""
    archive = good.content[ARCHIVE]
    other = struct.unpack("<I", archive[-8:-4])[0] ^ (1 << dice.randrange(32))
    return with_archive(good, archive[:-8] + struct.pack("<I", other) + archive[-4:])


def garbage_behind(good: Good, dice: random.Random) -> Content:
    """Bytes behind the gzip."""
    return with_archive(good, good.content[ARCHIVE] + dice.randbytes(100).replace(b"\0", b"x"))


def archive_behind(good: Good, _: random.Random) -> Content:
    """A second archive behind the first."""
    return with_archive(good, good.content[ARCHIVE] * 2)


def framed(good: Good, _: random.Random) -> Content:
    """As a store keeps it that takes a client's framing for content."""
    archive = good.content[ARCHIVE]
    return with_archive(good, b"%x\r\n%b\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n" % (len(archive), archive))


def noise(good: Good, dice: random.Random) -> Content:
    """As many bytes, none of them right."""
    return with_archive(good, dice.randbytes(len(good.content[ARCHIVE])))


def resource_list_short(good: Good, _: random.Random) -> Content:
    """The list leaves an object out that the archive holds."""
    key = layout.resource_list_key(NAME)
    listed = json.loads(gzip.decompress(good.content[key]))
    next(iter(listed.values())).pop()
    return good.content | {key: zipped(listed)}


def resource_list_long(good: Good, _: random.Random) -> Content:
    """The list names an object that the archive does not hold."""
    key = layout.resource_list_key(NAME)
    listed = json.loads(gzip.decompress(good.content[key]))
    next(iter(listed.values())).append("shop/never")
    return good.content | {key: zipped(listed)}


def _metadata(good: Good, change: Callable[[dict[str, dict[str, str]]], object]) -> Content:
    key = layout.metadata_key(NAME)
    document = json.loads(good.content[key])
    change(document)
    return good.content | {key: json.dumps(document).encode()}


def phase_changed(good: Good, dice: random.Random) -> Content:
    """The bucket says another phase than the cluster."""
    phase = dice.choice(["Finalizing", "PartiallyFailed", "Failed", "InProgress", "New", ""])
    return _metadata(good, lambda document: document["status"].update(phase=phase))


def identity_changed(good: Good, dice: random.Random) -> Content:
    """Another backup's name or UID."""
    field = dice.choice(["name", "uid"])
    return _metadata(good, lambda document: document["metadata"].update({field: "other"}))


def file_dropped(good: Good, dice: random.Random) -> Content:
    """Any object of the backup."""
    gone = dice.choice(sorted(good.content))
    return {key: content for key, content in good.content.items() if key != gone}


def file_truncated(good: Good, dice: random.Random) -> Content:
    """Any object of the backup, cut off in its middle."""
    key = dice.choice(sorted(good.content))
    return good.content | {key: good.content[key][: len(good.content[key]) // 2]}


def file_overwritten(good: Good, dice: random.Random) -> Content:
    """Any object of the backup with noise in it."""
    key = dice.choice(sorted(good.content))
    return good.content | {key: b"\0" + dice.randbytes(len(good.content[key]))}


def rewritten_whole(good: Good, dice: random.Random) -> Content:
    """One value of an object and of its copy, with the version left as it was."""
    return _both(good, dice, _other_value)


def reordered(good: Good, dice: random.Random) -> Content:
    """The same objects in another order."""
    return packed(good, [good.members[0], *dice.sample(good.members[1:], len(good.members) - 1)])


def repacked(good: Good, _: random.Random) -> Content:
    """The same tar, packed by another program."""
    return with_archive(good, gzip.compress(gzip.decompress(good.content[ARCHIVE]), 1, mtime=1))


def metadata_field(good: Good, _: random.Random) -> Content:
    """A field of the metadata that says nothing of the backup's worth."""
    return _metadata(good, lambda document: document["metadata"].update(comment="x"))


def log_changed(good: Good, _: random.Random) -> Content:
    """Other words in the log."""
    return good.content | {layout.logs_key(NAME): gzip.compress(b"time=then level=info")}


#: What a first proof cannot see, and why.
BLIND: dict[Damage, str] = {
    rewritten_whole: "both copies say the same, and the list before the backup holds names and versions, no content",
    reordered: "no content changed: a restore reads the same",
    repacked: "no content changed",
    metadata_field: "nobody reads it",
    log_changed: "for people to read",
}
SEEN: list[Damage] = [
    value_changed, copy_changed, older_version, object_dropped, original_dropped, copy_dropped, copies_dropped,
    object_doubled, object_shadowed, contents_swapped, object_renamed, object_truncated, object_emptied, foreign_file,
    version_dropped, version_to_come, everything_dropped, foreign_cluster, end_mark_dropped, tar_header_flipped,
    object_flipped, gzip_flipped, gzip_truncated, gzip_checksum, garbage_behind, archive_behind, framed, noise,
    resource_list_short, resource_list_long, phase_changed, identity_changed, file_dropped, file_truncated,
    file_overwritten,
]  # fmt: skip
