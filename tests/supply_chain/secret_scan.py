"""Looks for credentials in what the repository holds: known forms of keys, and random text assigned to a secret's name.

A finding that is none (a made-up key in a test) says so on its line: ``not a secret``.
"""

import math
import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

TOP = Path(__file__).parent.parent.parent
FORMS = {
    "private key": re.compile(r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s*\n?[A-Za-z0-9+/]{20}"),
    "AWS key": re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    "GitHub token": re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{40})"),
    "JSON web token": re.compile(r"\beyJ[\w-]{20,}\.eyJ[\w-]{20,}\.[\w-]{20,}"),
    "Slack token": re.compile(r"\bxox[abprs]-[\w-]{20,}"),
    "webhook secret": re.compile(r"\bwhsec_[A-Za-z0-9+/]{32,}"),
    "token of ours": re.compile(r"\bkecs_(?=[\w-]*[A-Z])(?=[\w-]*\d)[\w-]{40,}"),
}
_ASSIGNED = re.compile(r"""(?i)(?:password|secret|token|api_?key)\w*["']?\s*[:=]\s*["']([A-Za-z0-9+/=_-]{20,})["']""")
#: Bits a character; words and names lie below, random text of that length above.
MOST_ENTROPY = 4.0
NO_SECRET = "not a secret"
#: Files that cannot say so on a line, and why nothing in them is a secret.
LEFT_OUT = {
    "requirements.lock": "hashes are random by nature and meant to be public",
    "app/api/examples.json": "recorded on a sandbox that lived for a minute; so are its webhooks' secrets",
    "openapi.json": "holds those recordings",
}


def entropy(text: str) -> float:
    """Shannon's, in bits a character."""
    return -sum(number / len(text) * math.log2(number / len(text)) for number in Counter(text).values())


def found_in(text: str) -> Iterator[tuple[int, str]]:
    """Line and kind of whatever looks like a credential; never the value."""
    lines = text.splitlines()
    for kind, form in FORMS.items():
        yield from ((text.count("\n", 0, match.start()) + 1, kind) for match in form.finditer(text))
    for number, line in enumerate(lines, start=1):
        if any(entropy(match[1]) > MOST_ENTROPY for match in _ASSIGNED.finditer(line)):
            yield number, "random text"


def tracked() -> list[Path]:
    """What git would publish, new files included."""
    command = ["git", "-C", str(TOP), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, check=True).stdout
    paths = [TOP / name for name in listed.decode().split("\0") if name]
    return [path for path in paths if path.is_file() and str(path.relative_to(TOP)) not in LEFT_OUT]


def findings(paths: Iterable[Path]) -> Iterator[str]:
    """``path:line: kind`` of every credential in text files."""
    for path in paths:
        content = path.read_bytes()
        if b"\0" in content[:8000]:
            continue
        text = content.decode(errors="replace")
        lines = text.splitlines()
        for number, kind in found_in(text):
            if NO_SECRET not in lines[number - 1]:
                yield f"{path}:{number}: {kind}"
