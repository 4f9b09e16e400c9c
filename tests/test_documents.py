"""Documents that others wrote: what is meant to exhaust the reader is refused, in bounded memory."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from app.clusters import k3d_documents
from app.documents import MOST_UNPACKED_BYTES, UnreadableDocument, read_json, read_packed_json, read_yaml
from app.host.files import HostDirectoryError
from app.host.instance_directory import InstanceDirectory
from app.host.kecs_config import load_kecs_config
from app.velero.pod_volumes import read_pod_volume_backups

#: Each level names the one before ten times: 10^20 leaves, in a kilobyte.
LAUGHS = "\n".join(f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 10)}]" for n in range(20))
MERGES = "\n".join(f"{chr(98 + n)}: &{chr(98 + n)} {{<<: [{', '.join(['*' + chr(97 + n)] * 10)}]}}" for n in range(20))
HOSTILE_YAML = {
    "aliases": f"a: &a [x]\n{LAUGHS}",
    "merge keys": f"a: &a {{x: 1}}\n{MERGES}",
    "an alias of itself": "a: &a [*a]",
    "nesting": "[" * 5_000,
    "a number": f"apiPort: {'9' * 10_000}",
    "a date": "apiPort: 2026-99-99",
    "an object of Python": "!!python/object/apply:os.system [id]",
    "two documents": "a: 1\n---\na: 2",
    "a list as a key": "? [a]\n: 1",
    "bytes that are no text": b"\xff\xfe\x00",
}
HOSTILE_JSON = {
    "nesting": "[" * 200_000,
    "nested objects": '{"a":' * 200_000,
    "a number": "9" * 10_000,
    "bytes that are no text": b"\xff\xff",
    "nothing": "",
}
#: Reads a bomb with little more memory allowed than the reader may use, and says how it ended.
IN_A_SMALL_PROCESS = """
import resource, sys
from app.documents import UnreadableDocument, read_packed_json
content = open(sys.argv[1], "rb").read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read_packed_json(content)
except UnreadableDocument as error:
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.fixture
def directory(tmp_path: Path) -> InstanceDirectory:
    """The directory as KECS leaves it."""
    found = InstanceDirectory.open(tmp_path / "instances", "shop")
    found.data.mkdir(parents=True)
    return found


@pytest.mark.parametrize("content", HOSTILE_YAML.values(), ids=HOSTILE_YAML.keys())
def test_hostile_yaml_is_one_error_that_quotes_nothing(content: str | bytes) -> None:
    """Wherever the parser would stumble, and before anything is unfolded."""
    with pytest.raises(UnreadableDocument, match=r"^it is no plain YAML$"):
        read_yaml(content)


@pytest.mark.parametrize("content", HOSTILE_JSON.values(), ids=HOSTILE_JSON.keys())
def test_hostile_json_is_one_error_that_quotes_nothing(content: str | bytes) -> None:
    """Also what Python answers with a RecursionError."""
    with pytest.raises(UnreadableDocument, match=r"^it is no JSON$"):
        read_json(content)


def test_the_last_of_two_equal_keys_counts() -> None:
    """As with the readers of Kubernetes: no reader may see another value than the next one."""
    assert read_json('{"a": 1, "a": 2}') == {"a": 2}
    assert read_yaml("a: 1\na: 2") == {"a": 2}


@pytest.mark.parametrize(
    "packed",
    # Named, since gzip writes the time: two workers must give the tests the same names.
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{}", id="not gzipped"),
        pytest.param(gzip.compress(b"{}")[:-4], id="cut off"),
        pytest.param(gzip.compress(b"{"), id="no JSON"),
    ],
)
def test_what_is_not_whole_gzipped_json_is_refused(packed: bytes) -> None:
    """Nothing, not gzipped, cut off, and no JSON inside."""
    with pytest.raises(UnreadableDocument):
        read_packed_json(packed)


def test_a_gzip_bomb_is_refused_in_bounded_memory(tmp_path: Path) -> None:
    """320 MiB of zeros in one and a half, read by a process of its own, which says how much it grew."""
    bomb = tmp_path / "bomb.gz"
    with gzip.open(bomb, "wb", compresslevel=1) as file:
        for _ in range(80):
            file.write(bytes(4 * 1024 * 1024))
    ended = subprocess.run(
        [sys.executable, "-c", IN_A_SMALL_PROCESS, str(bomb)], capture_output=True, text=True, check=True
    )
    assert int(ended.stdout) * 1024 * 1024 < 3 * MOST_UNPACKED_BYTES


@pytest.mark.parametrize("content", HOSTILE_YAML.values(), ids=HOSTILE_YAML.keys())
def test_neither_kecs_file_nor_a_kubeconfig_of_that_kind_is_read(
    directory: InstanceDirectory, content: str | bytes
) -> None:
    """Both name what cannot be read, and nothing of its content."""
    raw = content if isinstance(content, bytes) else content.encode()
    directory.write(directory.path / "config.yaml", raw)
    with pytest.raises(HostDirectoryError, match="it is no plain YAML"):
        load_kecs_config(directory)
    with pytest.raises(k3d_documents.UnreadableOutput):
        k3d_documents.kubeconfig(raw)


@pytest.mark.parametrize("content", HOSTILE_JSON.values(), ids=HOSTILE_JSON.keys())
def test_lists_of_volumes_of_that_kind_count_as_empty(content: str | bytes) -> None:
    """As whatever else is not readable there: the proof has said so."""
    raw = content if isinstance(content, bytes) else content.encode()
    assert read_pod_volume_backups(gzip.compress(raw)) == []
    assert read_pod_volume_backups(gzip.compress(json.dumps({"a": 1}).encode())) == []
