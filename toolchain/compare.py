"""Compares what the Python packages send with what the built plugins understand.

A bridged plugin derives its property names from the upstream provider; `pulumi_docker` and `pulumi_random` were generated
from the official plugins. Where the two differ, the engine drops or refuses a value without a word about why. So the
build, and a unit test, compare them name by name, nested types included.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import typing
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi import _types

if TYPE_CHECKING:
    from collections.abc import Iterator

NOT_BRIDGED = "docker:index/image:Image"
"""Code of the official plugin itself, not of the upstream provider; `docker.RemoteImage(build=...)` does the same and more."""

Schema = dict[str, Any]


class SchemaDriftError(Exception):
    """The plugins and the Python packages don't name their properties alike."""

    def __init__(self, found: list[str]) -> None:
        """Keep `found`, one line for each difference."""
        super().__init__("\n".join(f"    {line}" for line in found))
        self.found = found


def differences(name: str, schema: Schema) -> list[str]:
    """What `pulumi_<name>` would send or read that a plugin with this schema doesn't have, and what it must send but can't."""
    package = importlib.import_module(f"pulumi_{name}")
    found = []
    version = importlib.metadata.version(f"pulumi_{name}")
    if schema.get("version") != version:
        found.append(f"{name}: the plugin says version {schema.get('version')}, the installed package is {version}")
    for resource in resources(package):
        found += _resource_differences(schema, resource)
    return found


def resources(package: Any) -> list[type[pulumi.Resource]]:  # noqa: ANN401  a module
    """The resource classes of a generated package that a bridged plugin serves."""
    classes = (value for value in vars(package).values() if inspect.isclass(value) and issubclass(value, pulumi.CustomResource))
    return [each for each in classes if getattr(each, "pulumi_type", None) not in {None, NOT_BRIDGED}]


def _resource_differences(schema: Schema, resource: type[pulumi.Resource]) -> list[str]:
    token: str = vars(resource)["pulumi_type"]
    known = schema["provider"] if token.startswith("pulumi:providers:") else schema["resources"].get(token)
    if known is None:
        return [f"{token}: the plugin has no such resource"]
    module = importlib.import_module(resource.__module__)
    arguments = getattr(module, f"{resource.__name__}Args")
    found = list(_type_differences(schema, f"{token} input", known, "inputProperties", "requiredInputs", arguments, set()))
    missing = sorted(set(_types.resource_types(resource)) - set(known.get("properties", {})))
    return found + [f"{token} output {name}: the package reads it, the plugin has no such property" for name in missing]


def _type_differences(
    schema: Schema, where: str, known: Schema, properties: str, required: str, arguments: type, seen: set[type]
) -> Iterator[str]:
    """Compare an `...Args` class with an object of the schema, and their members in turn."""
    if arguments in seen:
        return
    seen.add(arguments)
    sent = _types.input_type_types(arguments)
    for name in sorted(set(known.get(required, ())) - set(sent)):
        yield f"{where}.{name}: the plugin requires it, the package can't send it"
    for name, type_ in sent.items():
        member = known.get(properties, {}).get(name)
        if member is None:
            yield f"{where}.{name}: the package sends it, the plugin has no such property"
            continue
        yield from _member_differences(schema, f"{where}.{name}", member, type_, seen)


def _member_differences(schema: Schema, where: str, member: Schema, type_: Any, seen: set[type]) -> Iterator[str]:  # noqa: ANN401
    kind, inner = _kind(type_)
    expected = "object" if "$ref" in member else member["type"]
    reference = member.get("$ref", "")
    if kind == "list" and expected == "array":
        yield from _member_differences(schema, f"{where}[]", member["items"], inner, seen)
    elif kind == "args" and reference.startswith("#/types/"):
        known = schema["types"][reference.removeprefix("#/types/")]
        yield from _type_differences(schema, where, known, "properties", "required", inner, seen)
    elif kind != {"array": "list", "object": "map"}.get(expected, expected) and not reference.startswith("pulumi.json"):
        yield f"{where}: the package sends {kind}, the plugin takes {expected}"


_SCALARS = {str: "string", bool: "boolean", int: "integer", float: "number"}


def _kind(type_: Any) -> tuple[str, Any]:  # noqa: ANN401
    """A Python type as the schema would call it, with the type of its items."""
    plain = _without_inputs(type_)
    origin = typing.get_origin(plain)
    if plain in _SCALARS:
        return _SCALARS[plain], None
    if inspect.isclass(origin) and issubclass(origin, typing.get_origin(typing.Mapping[str, str]) or dict):
        return "map", typing.get_args(plain)[1]
    if origin is not None:
        return "list", typing.get_args(plain)[0]
    return ("args", plain) if _types.is_input_type(plain) else (f"{plain}", None)


def _without_inputs(type_: Any) -> Any:  # noqa: ANN401
    """`T` of `Union[T, Awaitable[T], Output[T]]` (which is `pulumi.Input[T]`) or of `Optional[T]`."""
    if typing.get_origin(type_) is typing.Union:
        return _without_inputs(typing.get_args(type_)[0])
    return type_
