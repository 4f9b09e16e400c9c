"""``python -m tests.supply_chain sbom|audit``: write the bill of materials, or ask for known vulnerabilities.

The audit is pip-audit's, run by uv outside of this environment; it needs pypi.org (or what UV and PIP are told to use
instead) for itself and pypi.org's JSON API for the advisories. Exit status 1 for a vulnerability, 2 if nobody could
be asked: then nothing is known, which is not the same as nothing found.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from tests.supply_chain.packages import LOCK
from tests.supply_chain.sbom import bill_of_materials

AUDIT = ["uv", "tool", "run", "pip-audit", "--requirement", str(LOCK), "--require-hashes", "--disable-pip"]
SECONDS = 300
#: What pip-audit prints of a package that it could not look up, with success.
SKIPPED = "could not be audited"


def main() -> int:
    """The process's exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.supply_chain", description=__doc__)
    parser.add_argument("what", choices=["sbom", "audit"])
    parser.add_argument("--out", type=Path, default=Path("var/sbom.json"), help="where the bill goes")
    asked = parser.parse_args()
    if asked.what == "audit":
        return audit()
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(bill_of_materials(), indent=2) + "\n")
    print(f"{asked.out}: {len(bill_of_materials()['components'])} packages")
    return 0


def audit() -> int:
    """Known vulnerabilities of what is pinned."""
    command = [str(Path(sys.executable).with_name(AUDIT[0])), *AUDIT[1:]]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return _nobody_asked(f"no answer within {SECONDS} s")
    said = ended.stdout + ended.stderr
    if not was_asked(said):
        return _nobody_asked(said.strip().rpartition("\n")[2][:300])
    print(said)
    return 0 if ended.returncode == 0 else 1


def was_asked(said: str) -> bool:
    """Whether pip-audit has seen the advisories of every package."""
    return "known vulnerabilit" in said and SKIPPED not in said


def _nobody_asked(why: str) -> int:
    print(f"NOT AUDITED: the database of advisories could not be asked ({why}). Try where pypi.org is reached.")
    return 2


if __name__ == "__main__":
    sys.exit(main())
