"""Spans of time as kubectl's columns show them."""

from datetime import UTC, datetime
from typing import Any

_YEAR = 365 * 86400


def age(since: Any, until: Any = None) -> str:
    """From a timestamp to another or to now, in one or two units; ``<unknown>`` of no time."""
    try:
        began = datetime.fromisoformat(str(since))
        ended = datetime.fromisoformat(str(until)) if until else datetime.now(UTC)
    except ValueError:
        return "<unknown>"
    return human_duration(int((ended - began).total_seconds()))


#: Up to this many seconds: the unit, its sign, and the smaller unit that is still worth telling.
_SCALE: tuple[tuple[float, int, str, int, str], ...] = (
    (120, 1, "s", 0, ""), (600, 60, "m", 1, "s"), (3 * 3600, 60, "m", 0, ""), (8 * 3600, 3600, "h", 60, "m"),
    (48 * 3600, 3600, "h", 0, ""), (8 * 86400, 86400, "d", 3600, "h"), (2 * _YEAR, 86400, "d", 0, ""),
    (8 * _YEAR, _YEAR, "y", 86400, "d"), (float("inf"), _YEAR, "y", 0, ""),
)  # fmt: skip


def human_duration(seconds: int) -> str:
    """``57s``, ``4m21s``, ``35m``, ``3h5m``, ``2d4h``, ``40d``, as kubectl writes them."""
    seconds = max(seconds, 0)
    _, unit, sign, smaller, small_sign = next(row for row in _SCALE if seconds < row[0])
    rest = seconds % unit // smaller if smaller else 0
    return f"{seconds // unit}{sign}" + (f"{rest}{small_sign}" if rest else "")
