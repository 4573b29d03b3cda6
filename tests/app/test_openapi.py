"""The OpenAPI document: complete, and consistent. That it is true, the tests of the routes show: they compare each problem with it."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import TypeAdapter

from src.access import SECURED_PREFIXES
from src.messages.schemas import NewMessage
from src.problems import MEDIA_TYPE, TYPE_PREFIX, Problem
from tests.app.api_support import document

HEALTH = "/health/"
"""Its 503 tells the state of each dependency, for probes and people; no problem."""


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    return [(method, path, operation) for path, methods in document()["paths"].items() for method, operation in methods.items()]


def everything_in(node: object) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from everything_in(child)


def test_every_reference_leads_somewhere_and_every_schema_is_used() -> None:
    references = {str(node["$ref"]) for node in everything_in(document()) if "$ref" in node}
    schemas = {f"#/components/schemas/{name}" for name in document()["components"]["schemas"]}
    assert references == schemas


def test_operations_have_names_of_their_own_and_words_for_people() -> None:
    tags = {tag["name"] for tag in document()["tags"]}
    identifiers = [operation["operationId"] for _, _, operation in operations()]
    assert len(set(identifiers)) == len(identifiers)
    for method, path, operation in operations():
        assert operation.get("summary"), f"{method} {path} has no summary"
        assert operation.get("description"), f"{method} {path} has no description"
        assert set(operation["tags"]) <= tags, f"{method} {path} has a tag that nothing describes"


def test_every_parameter_of_a_path_is_described() -> None:
    for method, path, operation in operations():
        described = {each["name"] for each in operation.get("parameters", []) if each["in"] == "path"}
        assert described == set(re.findall(r"{(\w+)}", path)), f"{method} {path}"


def test_every_error_is_a_problem_with_an_example_of_each_kind() -> None:
    for method, path, operation in operations():
        for status, response in operation["responses"].items():
            if int(status) < 400 or path.startswith(HEALTH):
                continue
            assert list(response["content"]) == [MEDIA_TYPE], f"{method} {path} {status}"
            content = response["content"][MEDIA_TYPE]
            assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
            for code, example in content["examples"].items():
                shown = Problem.model_validate(example["value"])
                assert (shown.status, shown.type) == (int(status), f"{TYPE_PREFIX}{code}")


def test_routes_that_want_the_key_say_so() -> None:
    assert document()["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    for method, path, operation in operations():
        wants = path.startswith(SECURED_PREFIXES)
        assert ({"key": []} in operation.get("security", [])) is wants, f"{method} {path}"
        if wants:
            assert "401" in operation["responses"], f"{method} {path}"


def test_every_example_of_a_message_can_be_sent() -> None:
    examples = document()["paths"]["/messages"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    kinds = {TypeAdapter(NewMessage).validate_python(example["value"]).type for example in examples.values()}
    assert kinds == {"text", "media", "voice"}


def test_where_inbound_media_are_is_told_with_its_end() -> None:
    described = document()["components"]["schemas"]["MediaOut"]["properties"]["url"]["description"]
    assert "inside the network" in described
    assert "expires" in described


@pytest.mark.parametrize("path", ["/messages", "/instances"])
def test_what_a_post_makes_has_its_place_in_location(path: str) -> None:
    responses = document()["paths"][path]["post"]["responses"]
    made = {status: response for status, response in responses.items() if int(status) < 300}
    assert len(made) == 2, "made now, or before"
    assert all("Location" in response["headers"] for response in made.values())
