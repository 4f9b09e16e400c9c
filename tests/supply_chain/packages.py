"""What the lock file pins, and what each installed package says of itself."""

import re
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

LOCK = Path(__file__).parent.parent.parent / "requirements.lock"
#: Ours, and what a virtual environment begins with.
NOT_LOCKED = frozenset({"kecs-state", "pip", "setuptools"})
#: Licences that ask for nothing but their text, or (MPL) for changes to their own files: SPDX identifiers.
ALLOWED = frozenset(
    {"MIT", "MIT-0", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "ISC", "PSF-2.0", "MPL-2.0", "0BSD", "Unlicense"}
)
#: Taken under another licence, by name and reason.
TAKEN_BESIDES = {
    "psycopg": "LGPL: only with a database by URL, imported as it comes, nothing of it changed or copied here",
    "psycopg-binary": "the same, with its C library",
}
#: Packages of before SPDX expressions say it in their own words.
_IN_WORDS = {
    "Apache License 2.0": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "BSD 2-Clause License": "BSD-2-Clause",
    "Dual License": "Apache-2.0 OR BSD-3-Clause",
    "ISC License": "ISC",
    "MIT License": "MIT",
    "MIT license": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}


@dataclass(frozen=True)
class Locked:
    """One line of the lock file."""

    name: str
    version: str
    hashes: tuple[str, ...]
    """SHA-256 of each file it may be installed from."""

    @property
    def purl(self) -> str:
        """Its package URL."""
        return f"pkg:pypi/{self.name}@{self.version}"


def normal(name: str) -> str:
    """A package's name as PEP 503 writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(text: str) -> list[Locked]:
    """Every package of a lock file."""
    entries = re.findall(r"^([\w.-]+)==([^\s;]+)([^\n]*(?:\n +.*)*)", text, re.MULTILINE)
    return [
        Locked(normal(name), version, tuple(re.findall(r"sha256:([0-9a-f]{64})", rest)))
        for name, version, rest in entries
    ]


def installed() -> dict[str, Distribution]:
    """Everything in this environment that the lock file must account for."""
    found = {normal(each.metadata["Name"]): each for each in distributions()}
    return {name: each for name, each in found.items() if name not in NOT_LOCKED}


def licence(package: Distribution) -> str:
    """Its licence as an SPDX expression, or in its own words where those are not known; "" if it says nothing."""
    said = package.metadata.get("License-Expression") or package.metadata.get("License") or ""
    if not said or len(said) > 60:  # some put the licence's whole text there
        kinds = [each for each in package.metadata.get_all("Classifier") or [] if each.startswith("License ::")]
        said = kinds[-1].rpartition(" :: ")[2] if kinds else ""
    return _IN_WORDS.get(said, said)


def is_allowed(expression: str) -> bool:
    """Whether a licence, one of several to choose from, or every one of several that hold, is one we take."""
    return any(set(choice.split(" AND ")) <= ALLOWED for choice in expression.strip("()").split(" OR "))
