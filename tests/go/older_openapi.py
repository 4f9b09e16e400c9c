"""The OpenAPI document in the words of 3.0, for generators that do not know 3.1: ``older_openapi.py < 3.1 > 3.0``."""

import json
import sys
from typing import Any


def older(node: Any) -> Any:
    """The same schemas in the older words; what those cannot say is left out."""
    if isinstance(node, list):
        return [older(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    found = {key: older(value) for key, value in node.items()}
    if "anyOf" in found:
        found = _nullable(found)
    if "const" in found:
        found["enum"] = [found.pop("const")]
    if isinstance(examples := found.get("examples"), list):
        found["example"] = examples[0]
        del found["examples"]
    for bound in ("Minimum", "Maximum"):
        limit = found.get(f"exclusive{bound}")
        if isinstance(limit, int | float) and not isinstance(limit, bool):
            found[bound.lower()], found[f"exclusive{bound}"] = limit, True
    return found


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """``anyOf`` with null is a flag in 3.0; nothing stands beside a reference there, so one is wrapped."""
    choices = [choice for choice in schema["anyOf"] if choice.get("type") != "null"]
    if len(choices) == len(schema["anyOf"]):
        return schema
    rest = {key: value for key, value in schema.items() if key != "anyOf"} | {"nullable": True}
    if len(choices) > 1:
        return rest | {"anyOf": choices}
    [choice] = choices
    return rest | ({"allOf": [choice]} if "$ref" in choice else choice | rest)


if __name__ == "__main__":
    document = older(json.load(sys.stdin)) | {"openapi": "3.0.3"}
    document.pop("webhooks", None)
    json.dump(document, sys.stdout, indent=1)
