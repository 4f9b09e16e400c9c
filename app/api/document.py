"""What the OpenAPI document says beyond the routes: that tokens may be sent, and an example of every answer.

The examples were recorded from a service with a sandbox (``python -m tests.examples`` records them anew).
"""

import json
from importlib.resources import files
from typing import Any

from fastapi import FastAPI

JSON = "application/json"
_TOKEN = {"type": "http", "scheme": "bearer", "description": "Needed off loopback; see `kecs-state token create`."}


def complete(app: FastAPI) -> None:
    """Have the document completed when it is first asked for: a service nobody asks for it need not make it."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            document.setdefault("components", {})["securitySchemes"] = {"token": _TOKEN}
            document["security"] = [{}, {"token": []}]
            _add_examples(document)
        return generate()

    app.openapi = openapi  # type: ignore[method-assign]


def _add_examples(document: dict[str, Any]) -> None:
    recorded = json.loads(files("app.api").joinpath("examples.json").read_text())
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            example = recorded.get(f"{method.upper()} {path}", {})
            if "request" in example:
                operation["requestBody"]["content"][JSON]["example"] = example["request"]
            if "response" in example:
                operation["responses"][str(example["status"])]["content"][JSON]["example"] = example["response"]
