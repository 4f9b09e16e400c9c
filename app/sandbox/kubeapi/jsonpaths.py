"""The JSONPath of printer columns: ``.spec.replicas``, ``.items[0]``, ``.conditions[?(@.type=="Ready")].status``."""

import re
from functools import cache
from typing import Any

_STEP = re.compile(
    r"""\.?(?:
        (?P<name>(?:[^.\[\]\\]|\\.)+)
      | \['(?P<quoted>[^']+)'\]
      | \[(?P<index>-?\d+)\]
      | \[(?P<all>\*)\]
      | \[\?\(@\.(?P<field>[\w.]+)\s*==\s*["'](?P<value>[^"']*)["']\)\]
    )""",
    re.VERBOSE,
)


def first_at(obj: Any, path: str) -> Any:
    """The first value the path leads to, None when there is none."""
    steps = _steps(path)
    found = [obj] if steps else []
    for step in steps:
        found = [inner for value in found for inner in _follow(value, step)]
    return found[0] if found else None


@cache
def _steps(path: str) -> tuple[dict[str, str], ...]:
    """An unreadable path leads nowhere, like one to a field that is not there."""
    path = path.strip("{}$")
    found = [match.groupdict() for match in _STEP.finditer(path)]
    return tuple({kind: text for kind, text in step.items() if text is not None} for step in found)


def _follow(value: Any, step: dict[str, str]) -> list[Any]:
    if isinstance(value, dict):
        name = step.get("name", step.get("quoted"))
        name = name.replace("\\", "") if name else name
        return [value[name]] if name in value else list(value.values()) if "all" in step else []
    if not isinstance(value, list):
        return []
    if "index" in step:
        place = int(step["index"])
        return value[place:][:1] if place < len(value) else []
    if "field" in step:
        return [item for item in value if first_at(item, "." + step["field"]) == step["value"]]
    return value if "all" in step else []
