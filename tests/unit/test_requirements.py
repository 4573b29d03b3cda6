"""What the commands import is what they pin: an environment without the tests' packages is all that an operator has."""

import ast
import re
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
FOLDERS = ("ops", "stack", "toolchain")
OF_THE_OPERATOR = [PROJECT / "__main__.py", *(path for folder in FOLDERS for path in (PROJECT / folder).rglob("*.py"))]


def imported(source: Path) -> Iterator[str]:
    """The packages that a file imports, wherever in it, by the first part of their names."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (each.name.partition(".")[0] for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_commands_import_only_what_is_pinned_for_them() -> None:
    text = (PROJECT / "requirements.txt").read_text(encoding="utf-8")
    pinned = {normal(name) for name in re.findall(r"^([\w.-]+)==", text, flags=re.MULTILINE)}
    providers = packages_distributions()
    used = {name: path for path in OF_THE_OPERATOR for name in imported(path) if name in providers}
    assert {"click", "docker", "pulumi"} <= set(used), "the search no longer finds what it looks for"
    missing = {name: str(path.relative_to(PROJECT)) for name, path in used.items() if pinned.isdisjoint(map(normal, providers[name]))}
    assert missing == {}, "these come with the tests' packages only: add them to requirements.in, and run `make lock`"
