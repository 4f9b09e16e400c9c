"""The bill of materials: CycloneDX 1.6 (ECMA-424) as JSON, of the lock file and the installed packages' metadata."""

from typing import Any

from tests.supply_chain.packages import LOCK, Locked, installed, licence, locked


def bill_of_materials() -> dict[str, Any]:
    """The same lock file gives the same document: no time and no random serial number in it."""
    here = installed()
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "kecs-state", "bom-ref": "kecs-state"}},
        "components": [
            _component(each, licence(here[each.name]) if each.name in here else "") for each in locked(LOCK.read_text())
        ],
    }


def _component(package: Locked, expression: str) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "library",
        "name": package.name,
        "version": package.version,
        "purl": package.purl,
        "bom-ref": package.purl,
        # A component's own hashes would be those of one file; the lock file has one for each platform's.
        "properties": [{"name": "kecs-state:sha256", "value": value} for value in package.hashes],
    }
    return component | ({"licenses": [{"expression": expression}]} if expression else {})
