"""What pydantic finds wrong with a value, in words that say what is allowed."""

from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from annotated_types import Ge, Le
from pydantic.fields import FieldInfo

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_TOO_SMALL, _TOO_LARGE = "greater_than_equal", "less_than_equal"


def in_words(field: FieldInfo, error: "ErrorDetails") -> str:
    """What is wrong with a setting's value, behind its name, and how to mend it."""
    kind, allowed = error["type"], field.annotation
    if kind == "value_error":  # one of our own types refused it, in words of its own
        return error["msg"].removeprefix("Value error, ")
    if choices := _choices(allowed):
        return f"is not one of its choices: write {' or '.join([', '.join(choices[:-1]), choices[-1]])}"
    if allowed is bool:
        return "is neither true nor false: write one of the two"
    bounds = _bounds(field)
    if kind == _TOO_SMALL:
        return f"is too small: write a number {bounds}"
    if kind == _TOO_LARGE:
        return f"is too large: write a number {bounds}"
    return f"is not a whole number: write one {bounds}" if allowed is int else f"is not a number: write one {bounds}, as in 1.5"


def _choices(allowed: Any) -> list[str]:  # noqa: ANN401 - a type
    if get_origin(allowed) is Literal:
        return [str(each) for each in get_args(allowed)]
    return [str(each.value) for each in allowed] if isinstance(allowed, type) and issubclass(allowed, Enum) else []


def _bounds(field: FieldInfo) -> str:
    least = next(each.ge for each in field.metadata if isinstance(each, Ge))
    most = next(each.le for each in field.metadata if isinstance(each, Le))
    return f"from {least} to {most}"
