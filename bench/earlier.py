"""An earlier commit's code under this commit's measures: the same machine, the same minutes, the same ruler."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from bench.records import Record, read_records

#: What measures, and what it leans on; everything else is the earlier commit's own.
MEASURING = ("bench", "tests")


def check_out(commit: str, directory: Path) -> Path:
    """That commit's files in a new directory, with this one's measures; ends the program where that says nothing."""
    directory.mkdir(parents=True)
    archive = directory / "commit.tar"
    subprocess.run(["git", "archive", f"--output={archive}", commit], check=True)  # noqa: S607 - the user's own
    shutil.unpack_archive(archive, directory, filter="data")
    archive.unlink()
    if (directory / "requirements.lock").read_bytes() != Path("requirements.lock").read_bytes():
        sys.exit(
            f"{commit} was made for other libraries than those installed here: measure it in an environment of its own"
        )
    for name in MEASURING:
        shutil.rmtree(directory / name)
        shutil.copytree(name, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
    return directory


def measure_earlier(directory: Path, group: str, commit: str) -> Record | None:
    """One group, by a process whose directory, and so whose code, is that commit's; None if it lacks something."""
    subprocess.run([sys.executable, "-m", "bench", group], cwd=directory, check=False, stdout=subprocess.DEVNULL)
    found = read_records(directory / "var" / "bench" / f"{group}.json")
    if group not in found:
        return None
    return replace(found[group], commit=commit)
