"""Every operation of the API: what it takes and what it answers."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from reference.markdown import code, table

Document = dict[str, Any]
_INTRODUCTION = """# API

Made of [openapi.json](../../openapi.json), from which clients can be generated; the service shows the same with
examples at `/docs`. What every refusal looks like is on the page of [problems](problems.md). An operation that
changes an instance answers 202 with a job; with `Prefer: wait=60` it answers when the job has ended.

What every operation may answer is not said again below: """


def api_page(document: Document) -> str:
    """A section for each tag, an operation after the other."""
    everywhere = set.intersection(*(set(_answers(each)) for each in _operations(document)))
    by_tag: dict[str, list[str]] = defaultdict(list)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            by_tag[operation["tags"][0]].append(_operation(method, path, operation, document, everywhere))
    common = ", ".join(sorted(everywhere))
    return f"{_INTRODUCTION}{common}.\n" + "".join(
        f"\n## {tag.capitalize()}\n{''.join(parts)}" for tag, parts in by_tag.items()
    )


def _operations(document: Document) -> Iterator[Document]:
    for operations in document["paths"].values():
        yield from operations.values()


def _operation(method: str, path: str, operation: Document, document: Document, everywhere: set[str]) -> str:
    rows = [*_parameters(operation), *_body(operation, document)]
    taken = f"\n{table(('takes', 'in', 'values', ''), rows)}" if rows else ""
    answers = ", ".join(sorted(set(_answers(operation)) - everywhere))
    return f"\n### {method.upper()} {path}\n\n{operation['description']}\n{taken}\nAnswers: {answers}.\n"


def _parameters(operation: Document) -> Iterator[tuple[str, ...]]:
    for each in operation.get("parameters", []):
        if each["in"] != "path":
            yield code(each["name"]), each["in"], _values(each["schema"]), each.get("description", "")


def _body(operation: Document, document: Document) -> Iterator[tuple[str, ...]]:
    for media in operation.get("requestBody", {}).get("content", {}).values():
        yield from _fields(media["schema"], document, "")


def _fields(schema: Document, document: Document, prefix: str) -> Iterator[tuple[str, ...]]:
    """Every field by its path; those of nested objects too."""
    for name, field in _resolved(schema, document).get("properties", {}).items():
        inner = _resolved(field, document)
        if "properties" in inner:
            yield from _fields(inner, document, f"{prefix}{name}.")
        else:
            said = field.get("description", inner.get("description", ""))
            yield code(prefix + name), "body", _values(inner), said


def _resolved(schema: Document, document: Document) -> Document:
    """What a reference leads to; of something or null, the something."""
    if "$ref" in schema:
        found: Document = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return found
    some = [each for each in schema.get("anyOf", []) if each.get("type") != "null"]
    return _resolved(some[0], document) if len(some) == 1 else schema


def _values(schema: Document) -> str:
    if "enum" in schema or "const" in schema:
        return ", ".join(code(str(value)) for value in schema.get("enum", [schema.get("const")]))
    if some := [_values(each) for each in schema.get("anyOf", []) if each.get("type") != "null"]:
        return " or ".join(dict.fromkeys(some))
    if schema.get("type") == "array":
        return f"list of {_values(schema['items'])}"
    return str(schema.get("format") or schema.get("type", "object"))


def _answers(operation: Document) -> Iterator[str]:
    for status, answer in operation["responses"].items():
        codes = ", ".join(part.split("`")[1] for part in answer["description"].split("; ") if "(`" in part)
        yield f"{status} ({codes})" if codes else status
