"""Every setting, by its environment variable."""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from app.settings import Settings
from reference.markdown import code, table

PREFIX = "KECS_STATE_"
_INTRODUCTION = """# Settings

Environment variables of `kecs-state serve`; its options win over them. Lists and groups are written as JSON.
`kecs-state settings` prints what is in force, secrets masked.
"""


def settings_page() -> str:
    """One table for each group."""
    groups = dict(_groups(Settings, PREFIX))
    sections = [
        f"\n## {title}\n\n{table(('variable', 'values', 'default', ''), rows)}" for title, rows in groups.items()
    ]
    return _INTRODUCTION + "".join(sections)


def variables() -> set[str]:
    """The names of all of them."""
    return {row[0].strip("`") for _, rows in _groups(Settings, PREFIX) for row in rows}


def _groups(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, list[tuple[str, ...]]]]:
    """The title of each group with its rows; a group in a group follows it."""
    said = _docstrings(model)
    plain: list[tuple[str, ...]] = []
    nested: list[tuple[type[BaseModel], str]] = []
    for name, field in model.model_fields.items():
        variable = f"{prefix}{name.upper()}"
        if inner := _model_in(field.annotation):
            nested.append((inner, f"{variable}__"))
        else:
            plain.append((code(variable), _values(field.annotation), _default(field), said.get(name, "")))
    yield (inspect.getdoc(model) or "").partition("\n")[0].rstrip(".").replace("``", "`"), plain
    for inner, inner_prefix in nested:
        yield from _groups(inner, inner_prefix)


def _docstrings(model: type[BaseModel]) -> dict[str, str]:
    """What stands below each field."""
    fields = ast.parse(textwrap.dedent(inspect.getsource(model))).body[0].body  # type: ignore[attr-defined]
    said = {}
    for field, below in pairwise(fields):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            said[field.target.id] = str(ast.literal_eval(below.value)).replace("``", "`")
    return said


def _model_in(annotation: Any) -> type[BaseModel] | None:
    for candidate in (annotation, *get_args(annotation)):
        if inspect.isclass(candidate) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _values(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return ", ".join(code(str(value)) for value in get_args(annotation))
    if get_origin(annotation) in {list, dict}:
        return f"list of {_values(get_args(annotation)[0])}"
    if parts := [part for part in get_args(annotation) if part is not NoneType]:
        return _values(parts[0])
    words = {"bool": "`true`, `false`", "str": "text", "int": "whole number", "float": "number", "Path": "path"}
    return words.get(annotation.__name__, "secret")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    value = field.get_default(call_default_factory=True)
    if value is None or value in ("", []):
        return "none"
    return code(
        str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
    )
