"""What the product is made of: pinned, under licences we take, listed; and no credential in the repository."""

from pathlib import Path

import pytest

from tests.supply_chain.__main__ import was_asked
from tests.supply_chain.packages import LOCK, TAKEN_BESIDES, installed, is_allowed, licence, locked, normal
from tests.supply_chain.sbom import bill_of_materials
from tests.supply_chain.secret_scan import NO_SECRET, findings, tracked


def test_everything_pinned_has_hashes() -> None:
    """So that an exchanged file is not installed."""
    text = LOCK.read_text()
    packages = locked(text)
    assert len(packages) == text.count("==") - text.count("== '") > 80, "a marker compares with == too"
    assert [each.name for each in packages if not each.hashes] == []


def test_what_is_installed_is_what_is_pinned() -> None:
    """In those versions, and nothing besides."""
    pinned = {each.name: each.version for each in locked(LOCK.read_text())}
    assert {name: each.version for name, each in installed().items()}.items() <= pinned.items()


def test_the_lock_file_names_no_address() -> None:
    """Where packages come from is the business of who installs them."""
    assert "://" not in LOCK.read_text()


def test_every_licence_is_one_we_take() -> None:
    """A new dependency under another one is refused here, with its name."""
    refused = {name: licence(each) for name, each in installed().items() if not is_allowed(licence(each))}
    assert refused.keys() <= TAKEN_BESIDES.keys(), refused


@pytest.mark.parametrize("expression", ["GPL-3.0-only", "AGPL-3.0", "MIT AND GPL-2.0-only", "", "Proprietary"])
def test_other_licences_are_refused(expression: str) -> None:
    """Also beside one that would be taken."""
    assert not is_allowed(expression)


@pytest.mark.parametrize("expression", ["MIT", "GPL-3.0-only OR MIT", "(MIT AND PSF-2.0)"])
def test_one_licence_to_choose_is_enough(expression: str) -> None:
    """Of several that hold, each must be taken."""
    assert is_allowed(expression)


def test_the_bill_of_materials_names_every_package_once() -> None:
    """With version, package URL, licence and hashes."""
    components = bill_of_materials()["components"]
    references = [each["bom-ref"] for each in components]
    assert sorted(references) == sorted(set(references))
    assert {normal(each["name"]) for each in components} >= installed().keys()
    fastapi = next(each for each in components if each["name"] == "fastapi")
    assert fastapi["purl"] == f"pkg:pypi/fastapi@{installed()['fastapi'].version}"
    assert fastapi["licenses"] == [{"expression": "MIT"}]
    assert fastapi["properties"]


def test_no_credential_is_in_the_repository() -> None:
    """In any file that git knows or would take."""
    assert len(tracked()) > 300
    assert list(findings(tracked())) == []


@pytest.mark.parametrize(
    "line",
    [
        "-----BEGIN EC PRIVATE KEY-----\n" + "MHcCAQEEIDq" * 4,
        "key = AKIA" + "Q3X7" * 4,
        "ghp_" + "a1B2" * 9,
        'password = "'
        + "".join(chr(65 + n * 7 % 26) + str(n * 3 % 10) + chr(97 + n * 11 % 26) for n in range(13))
        + '"',
        "whsec_" + "Zm9v" * 8,
    ],
)
def test_credentials_are_found(tmp_path: Path, line: str) -> None:
    """By place and kind, without their value; a line may say that its own is none."""
    path = tmp_path / "file.py"
    path.write_text(f"first\n{line}\n")
    assert [found.rpartition(":")[0] for found in findings([path])] == [f"{path}:2"]
    path.write_text(f"first\n{line.replace(chr(10), f'  # {NO_SECRET}{chr(10)}', 1)}  # {NO_SECRET}\n")
    assert list(findings([path])) == []


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("No known vulnerabilities found\n", True),
        ("Found 2 known vulnerabilities in 1 package\n", True),
        ("No known vulnerabilities found\nDependency not found on PyPI and could not be audited: x (1)\n", False),
        ("error: Failed to fetch\n", False),
        ("", False),
    ],
)
def test_an_audit_that_saw_no_advisories_is_none(said: str, asked: bool) -> None:
    """pip-audit ends with success where it skipped what it could not look up."""
    assert was_asked(said) is asked
