"""What the OpenAPI document says beyond the routes: that tokens may be sent, ways on, and an example of every answer.

The examples were recorded from a service with a sandbox (``python -m tests.examples`` records them anew).
"""

import json
from importlib.resources import files
from threading import Lock
from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.requests import Request

from app.api.links import add_links

JSON = "application/json"
_TOKEN = {"type": "http", "scheme": "bearer", "description": "Needed off loopback; see `kecs-state token create`."}


def complete(app: FastAPI) -> None:
    """Have the document completed when it is first asked for: a service nobody asks for it need not make it."""
    generate, making = app.openapi, Lock()

    def openapi() -> dict[str, Any]:
        with making:
            if app.openapi_schema is None:
                document = generate()
                document.setdefault("components", {})["securitySchemes"] = {"token": _TOKEN}
                document["security"] = [{}, {"token": []}]
                _order_paths(document)
                add_links(document)
                _add_examples(document)
            return generate()

    def answer(_request: Request) -> JSONResponse:
        return JSONResponse(openapi())

    app.openapi = openapi  # type: ignore[method-assign]
    # In FastAPI's own place, which makes it on the event loop: a fifth of a second in which nobody is served.
    url = app.openapi_url
    app.router.routes[:] = [route for route in app.router.routes if getattr(route, "path", None) != url]
    app.add_route(str(url), answer, include_in_schema=False)


def _order_paths(document: dict[str, Any]) -> None:
    """By tag, as readers want them; the routes themselves stand by how often they are asked."""
    tags = [tag["name"] for tag in document["tags"]]

    def place(item: tuple[str, dict[str, Any]]) -> int:
        return min(tags.index(operation["tags"][0]) for operation in item[1].values())

    document["paths"] = dict(sorted(document["paths"].items(), key=place))


def _add_examples(document: dict[str, Any]) -> None:
    recorded = json.loads(files("app.api").joinpath("examples.json").read_text())
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            example = recorded.get(f"{method.upper()} {path}", {})
            if "request" in example:
                operation["requestBody"]["content"][JSON]["example"] = example["request"]
            if "response" in example:
                operation["responses"][str(example["status"])]["content"][JSON]["example"] = example["response"]
