"""The API's description: valid, complete, and the same in the repository as served."""

import json
from pathlib import Path
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from app.main import create_app
from app.settings import Settings

COMMITTED = Path(__file__).parent.parent / "openapi.json"
METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """What the app serves at /openapi.json."""
    served: dict[str, Any] = create_app(Settings()).openapi()
    return served


def operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Every operation of the document."""
    return [item[method] for item in document["paths"].values() for method in METHODS & item.keys()]


def test_the_committed_document_is_what_the_app_serves(document: dict[str, Any]) -> None:
    """After a change of the API: `make openapi`."""
    assert json.loads(COMMITTED.read_text()) == document


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    """OpenAPI 3.1, by its own schema."""
    OpenAPIV31SpecValidator(document).validate()


def test_operation_ids_are_plain_words_used_once(document: dict[str, Any]) -> None:
    """Generated clients have readable names."""
    ids = [operation["operationId"] for operation in operations(document)]
    assert len(ids) == len(set(ids))
    assert all(name.replace("_", "").isalpha() for name in ids)


def test_every_operation_declares_its_problems(document: dict[str, Any]) -> None:
    """Each refusal is a problem document; the framework's own form of a 422 is never declared."""
    for operation in operations(document):
        refusals = {code: answer for code, answer in operation["responses"].items() if code >= "400"}
        assert {"403", "421", "500"} <= refusals.keys(), operation["operationId"]
        for code, answer in refusals.items():
            media_types = set(answer["content"])
            assert media_types == {"application/problem+json"} or code == "503", (operation["operationId"], code)
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_every_operation_is_documented_and_filed(document: dict[str, Any]) -> None:
    """A sentence and one tag each."""
    for operation in operations(document):
        assert operation["description"]
        assert len(operation["tags"]) == 1


#: Answers without JSON, and a service that is not ready, which no recording should be.
WITHOUT_EXAMPLE = {"get_metrics", "get_backup_logs", "delete_webhook"}


def test_every_operation_has_examples_of_its_own_form(document: dict[str, Any]) -> None:
    """Recorded ones, so they are what really comes; a changed form makes them invalid: `python -m tests.examples`."""
    for operation in operations(document):
        bodies = [operation["requestBody"]] if "requestBody" in operation else []
        answers = [answer for code, answer in operation["responses"].items() if code < "300"]
        found = [
            (content["schema"], content["example"])
            for part in (*bodies, *answers)
            for content in part.get("content", {}).values()
            if "example" in content
        ]
        assert len(found) > len(bodies) or operation["operationId"] in WITHOUT_EXAMPLE, operation["operationId"]
        for schema, example in found:
            OAS31Validator(schema | {"components": document["components"]}).validate(example)
