"""The layers of a stack's settings: what each of them gives, where it stands, and what is wrong with it."""

import io
import re
from dataclasses import dataclass
from pathlib import Path

from dotenv.parser import Binding, parse_stream

from stack.reading import UnreadableError, text_of

_NOT_FILLED_IN = "which is not filled in here: write the value itself, or put it in single quotes when ${...} is part of it"
_FORM = "write a name, an equals sign and a value (quotes closed)"
_REFERENCE = re.compile(r"\$\{[^}]*\}")
_SINGLE_QUOTED = re.compile(r"[^=]*=\s*'")
_NAME = re.compile(r"\s*(?:export\s+)?([A-Z_][A-Z0-9_]*)\s*[=:]")


@dataclass(frozen=True, order=True)
class Place:
    """Where something stands. In the order in which people look: by file, then by line.

    Attributes:
        file: below the project's folder.
        line: counted from 1; 0 for a file as a whole, and for the stack's configuration, which Pulumi reads.
    """

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}" if self.line else self.file


@dataclass(frozen=True)
class Given:
    """A value as a layer gives it.

    Attributes:
        encrypted: whether the stack's configuration keeps it encrypted, so that it must not be shown, whatever the setting.
    """

    value: str
    place: Place
    encrypted: bool = False


@dataclass(frozen=True)
class Problem:
    """Something that is wrong, in a sentence with its mend, and where."""

    place: Place
    sentence: str


def read_env(project: Path, file: str, problems: list[Problem], text: str | None = None) -> dict[str, Given]:
    """The values of a settings file, or of a text in its place; none when there is no such file. What is wrong is added to `problems`."""
    try:
        found = text_of(project, file) if text is None else text
    except UnreadableError as error:
        problems.append(Problem(Place(file), str(error)))
        return {}
    values: dict[str, Given] = {}
    for binding in parse_stream(io.StringIO(found or "")):
        place = Place(file, binding.original.line + _leading_blank_lines(binding.original.string))
        if binding.error or (binding.key is not None and binding.value is None):
            problems.append(Problem(place, f"{place}: {_subject(binding)} is not NAME=value: {_FORM}."))
        elif binding.key is not None and binding.value is not None:
            if binding.key in values:
                twice = f"{binding.key} ({place}) is given before, at {values[binding.key].place}: keep one of the two."
                problems.append(Problem(place, twice))
            values[binding.key] = Given(binding.value, place)
            if _REFERENCE.search(binding.value) and not _SINGLE_QUOTED.match(binding.original.string):
                problems.append(Problem(place, f"{binding.key} ({place}) refers to another variable, {_NOT_FILLED_IN}."))
    return values


def _subject(binding: Binding) -> str:
    """What of a line that is no assignment can be shown: a setting's name in front. All else may belong to a secret."""
    name = _NAME.match(binding.original.string)
    return f"'{name[1]}'" if name else "this line"


def _leading_blank_lines(text: str) -> int:
    """The parser counts blank lines in front of a binding to it."""
    return text[: len(text) - len(text.lstrip())].count("\n")
