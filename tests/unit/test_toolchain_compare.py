"""The built plugins understand what the Python packages send; and a difference between the two would be found."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ops.setup import toolchain
from toolchain.compare import differences

PROJECT = Path(__file__).parents[2]
CONTAINER = "docker:index/container:Container"

Schema = dict[str, Any]


def built_schema(name: str) -> Schema:
    """The schema that the built plugin embeds; on a machine with the official plugins there is none to compare."""
    built = toolchain.already_built(PROJECT)
    if built is None:
        pytest.skip("no toolchain is built for these sources; its build makes the same comparison")
    schema: Schema = json.loads((built / "schema" / f"{name}.json").read_text())
    return schema


@pytest.mark.parametrize("name", ["docker", "random"])
def test_the_plugin_knows_every_property_that_the_package_sends(name: str) -> None:
    assert differences(name, built_schema(name)) == []


def rename_an_input(schema: Schema) -> None:
    inputs = schema["resources"][CONTAINER]["inputProperties"]
    inputs["commands"] = inputs.pop("command")


def rename_a_nested_property(schema: Schema) -> None:
    members = schema["types"]["docker:index/ContainerHealthcheck:ContainerHealthcheck"]["properties"]
    members["testses"] = members.pop("tests")


def change_a_type(schema: Schema) -> None:
    schema["resources"][CONTAINER]["inputProperties"]["memory"] = {"type": "string"}


def flatten_a_list(schema: Schema) -> None:
    inputs = schema["resources"][CONTAINER]["inputProperties"]
    inputs["mounts"] = inputs["mounts"]["items"]


def require_more(schema: Schema) -> None:
    schema["resources"]["docker:index/network:Network"]["requiredInputs"] = ["colour"]


def lose_an_output(schema: Schema) -> None:
    del schema["resources"]["docker:index/remoteImage:RemoteImage"]["properties"]["imageId"]


def lose_a_resource(schema: Schema) -> None:
    del schema["resources"]["docker:index/volume:Volume"]


def age(schema: Schema) -> None:
    schema["version"] = "5.1.0"


@pytest.mark.parametrize(
    ("drift", "found"),
    [
        (rename_an_input, f"{CONTAINER} input.command: the package sends it"),
        (rename_a_nested_property, f"{CONTAINER} input.healthcheck.tests: the package sends it"),
        (change_a_type, f"{CONTAINER} input.memory: the package sends integer, the plugin takes string"),
        (flatten_a_list, f"{CONTAINER} input.mounts: the package sends list"),
        (require_more, "docker:index/network:Network input.colour: the plugin requires it"),
        (lose_an_output, "docker:index/remoteImage:RemoteImage output imageId"),
        (lose_a_resource, "docker:index/volume:Volume: the plugin has no such resource"),
        (age, "docker: the plugin says version 5.1.0"),
    ],
)
def test_each_kind_of_drift_is_found_and_named(drift: Callable[[Schema], None], found: str) -> None:
    schema = copy.deepcopy(built_schema("docker"))
    drift(schema)
    lines = differences("docker", schema)
    assert any(line.startswith(found) for line in lines), f"expected a line that begins {found!r} among {lines}"
