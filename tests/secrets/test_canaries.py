"""The search itself: a secret is found in every form, and nothing is found where none is."""

import base64
import gzip
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.secrets.canaries import found_in, leaks, new_canary

CANARY = new_canary()


@pytest.mark.parametrize("before", [b"", b"x", b"xy", b"xyz"])
@pytest.mark.parametrize("encode", [bytes, base64.b64encode, base64.urlsafe_b64encode, bytes.hex, gzip.compress])
def test_a_secret_is_found_however_it_is_written(before: bytes, encode: object) -> None:
    """Wherever it stands among other text."""
    assert callable(encode)
    content = encode(before + b'{"password": "' + CANARY.encode() + b'"}')
    content = content.encode() if isinstance(content, str) else content
    assert found_in(content, {"it": CANARY}) == {"it"}


def test_a_secret_is_found_in_a_url() -> None:
    """The part of it that a URL writes otherwise."""
    assert found_in(f"http://me:{quote(CANARY, safe='')}@host/".encode(), {"it": CANARY}) == {"it"}


def test_another_secret_is_not_taken_for_it() -> None:
    """Neither in clear nor encoded."""
    other = new_canary().encode()
    assert found_in(other + base64.b64encode(other), {"it": CANARY}) == set()


def test_a_place_may_hold_its_own_secret_and_no_other(tmp_path: Path) -> None:
    """The list of places says which."""
    place = tmp_path / "state" / "webhook-secret"
    place.parent.mkdir()
    place.write_text(f"{CANARY}1 {CANARY}2")
    found = leaks(tmp_path, {"callback secret": f"{CANARY}1", "webhook secret": f"{CANARY}2"})
    assert list(found) == ["state/webhook-secret: webhook secret"]
