"""Every problem that a caller can meet."""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import app
from app.errors import ServiceError
from reference.markdown import code, table

_INTRODUCTION = """# Problems

Answers of RFC 9457 (`application/problem+json`) and ends of jobs (`error` of a job) by their `code`, which is stable;
`detail` says what happened and `remedy` what to do. A job may fail with any of them; the last column says which
operations answer with it at once. With status 503 there is a `Retry-After`.
"""
#: Operations listed one by one.
MOST_NAMED = 12
#: The sandbox stands on the far side of the wire; the command line has no problems of its own.
_APART = ("app.sandbox", "app.cli", "app.migrations")


def problems_page(document: dict[str, Any]) -> str:
    """One table, by code."""
    rows = [
        (code(problem.code), str(problem.status), problem.title, _answered(problem, document))
        for problem in sorted(problems(), key=lambda each: each.code)
    ]
    return f"{_INTRODUCTION}\n{table(('code', 'status', 'means', 'answered by'), rows)}"


def problems() -> list[type[ServiceError]]:
    """One class of each code: the one that others derive from."""
    for module in pkgutil.walk_packages(app.__path__, "app."):
        if not module.name.startswith(_APART):
            importlib.import_module(module.name)
    by_code: dict[str, type[ServiceError]] = {ServiceError.code: ServiceError}
    for problem in _derived(ServiceError):
        by_code.setdefault(problem.code, problem)
    return list(by_code.values())


def _derived(root: type[ServiceError]) -> Iterator[type[ServiceError]]:
    for problem in root.__subclasses__():
        yield problem
        yield from _derived(problem)


def _answered(problem: type[ServiceError], document: dict[str, Any]) -> str:
    """Operations that declare it; a long list would say less than how many they are."""
    declared, count = [], 0
    for operations in document["paths"].values():
        for operation in operations.values():
            count += 1
            if any(f"(`{problem.code}`)" in answer["description"] for answer in operation["responses"].values()):
                declared.append(operation["operationId"])
    if len(declared) > MOST_NAMED:
        return "every operation" if len(declared) == count else f"{len(declared)} of {count} operations"
    return ", ".join(map(code, declared))
