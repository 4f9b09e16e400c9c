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


def test_every_link_leads_on(document: dict[str, Any]) -> None:
    """To an operation, with every parameter of its path from a place that answers of that schema have."""
    by_id = {operation["operationId"]: operation for operation in operations(document)}
    links = document["components"]["links"]
    assert len(links) > 50
    for name, link in links.items():
        wanted = {p["name"] for p in by_id[link["operationId"]]["parameters"] if p["in"] == "path"}
        assert link["parameters"].keys() == wanted, name
        for expression in link["parameters"].values():
            assert has_place(document, name.partition(".")[0], expression), (name, expression)


def has_place(document: dict[str, Any], schema: str, expression: str) -> bool:
    """Whether answers of the schema may have something where the expression points."""
    found: dict[str, Any] = {"$ref": f"#/components/schemas/{schema}"}
    for part in expression.removeprefix("$response.body#/").split("/"):
        if "$ref" in found:
            found = document["components"]["schemas"][found["$ref"].rpartition("/")[2]]
        found = found.get("items", {}) if part == "0" else found.get("properties", {}).get(part, {})
    return bool(found)


def test_every_answer_of_a_linked_form_has_its_links(document: dict[str, Any]) -> None:
    """Whichever operation gives it."""
    linked = {name.partition(".")[0] for name in document["components"]["links"]}
    answers = [answer for operation in operations(document) for answer in operation["responses"].values()]
    schemas = [answer.get("content", {}).get("application/json", {}).get("schema", {}) for answer in answers]
    forms = [schema.get("$ref", "").rpartition("/")[2] for schema in schemas]
    assert [form in linked for form in forms] == ["links" in answer for answer in answers]
    assert linked <= set(forms)


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
