"""As much of JSON Schema as 2.2.3's schemas use, with the findings in the order and the words of node's `jsonschema`."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "array": (list,),
    "object": (dict,),
}


def problems(body: Mapping[str, Any], schema: Schema) -> list[str]:
    """List what is wrong with a body; an empty list is a good body.

    A schema's `description` takes the place of the library's words. `notEmpty` stands for 2.2.3's own construct: where an object has no
    other properties than these, none of them may be an empty string.
    """
    return [description or words.replace("instance.", "", 1) for words, description in _findings(body, schema, "instance")]


def _findings(value: Any, schema: Schema, path: str) -> Iterator[tuple[str, str | None]]:  # noqa: ANN401  (any JSON)
    said = schema.get("description")
    for rule, wanted in schema.items():
        check = _CHECKS.get(rule)
        if check:
            yield from ((f"{path} {words}", said) for words in check(value, wanted))
    if isinstance(value, dict):
        for name, inner in schema.get("properties", {}).items():
            if name in value:
                yield from _findings(value[name], inner, f"{path}.{name}")
        yield from ((f'{path} requires property "{name}"', said) for name in schema.get("required", ()) if name not in value)
        allowed = schema.get("notEmpty", ())
        if allowed and set(value) <= set(allowed):
            yield from ((path, f'The "{name}" cannot be empty') for name in allowed if value.get(name) == "")
    if isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            yield from _findings(item, schema["items"], f"{path}[{index}]")


def _wrong_type(value: Any, wanted: str) -> Iterator[str]:  # noqa: ANN401
    whole = wanted == "integer" and isinstance(value, float) and value.is_integer()
    if not whole and (not isinstance(value, _TYPES[wanted]) or (isinstance(value, bool) and wanted != "boolean")):
        yield f"is not of a type(s) {wanted}"


def _not_listed(value: Any, wanted: list[Any]) -> Iterator[str]:  # noqa: ANN401
    if value not in wanted:
        yield f"is not one of enum values: {','.join(_as_javascript(each) for each in wanted)}"


def _as_javascript(value: object) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _no_match(value: Any, pattern: str) -> Iterator[str]:  # noqa: ANN401
    if isinstance(value, str) and not re.search(pattern, value, re.ASCII):
        yield f"does not match pattern {json.dumps(pattern)}"


def _too_short(value: Any, least: int) -> Iterator[str]:  # noqa: ANN401
    if isinstance(value, str) and len(value) < least:
        yield f"does not meet minimum length of {least}"


def _too_few(value: Any, least: int) -> Iterator[str]:  # noqa: ANN401
    if isinstance(value, list) and len(value) < least:
        yield f"does not meet minimum length of {least}"


def _too_many(value: Any, most: int) -> Iterator[str]:  # noqa: ANN401
    if isinstance(value, list) and len(value) > most:
        yield f"does not meet maximum length of {most}"


def _too_small(value: Any, least: float) -> Iterator[str]:  # noqa: ANN401
    if _is_number(value) and value < least:
        yield f"must be greater than or equal to {least}"


def _too_large(value: Any, most: float) -> Iterator[str]:  # noqa: ANN401
    if _is_number(value) and value > most:
        yield f"must be less than or equal to {most}"


def _repeated(value: Any, _: bool) -> Iterator[str]:  # noqa: ANN401
    if isinstance(value, list) and len({json.dumps(item, sort_keys=True) for item in value}) < len(value):
        yield "contains duplicate item"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_CHECKS: dict[str, Callable[[Any, Any], Iterator[str]]] = {
    "type": _wrong_type,
    "enum": _not_listed,
    "pattern": _no_match,
    "minLength": _too_short,
    "minItems": _too_few,
    "maxItems": _too_many,
    "minimum": _too_small,
    "maximum": _too_large,
    "uniqueItems": _repeated,
}
