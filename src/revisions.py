"""Which revision of the schema this code was written for."""

import ast
from pathlib import Path

VERSIONS = Path(__file__).parent.parent / "alembic" / "versions"


def expected_heads(versions: Path = VERSIONS) -> frozenset[str]:
    """Return the revisions that no other one follows: exactly one, unless a merge of two branches is missing.

    Read from the files' own text: alembic, which knows it too, would cost each serving process 10 MiB of memory for this one
    answer.

    Raises:
        FileNotFoundError: there is no such directory.
    """
    revisions: set[str] = set()
    followed: set[str] = set()
    for file in versions.iterdir():
        if file.suffix != ".py":
            continue
        names = _assigned(ast.parse(file.read_text(encoding="utf-8")))
        revisions |= names.get("revision", set())
        followed |= names.get("down_revision", set())
    return frozenset(revisions - followed)


def _assigned(module: ast.Module) -> dict[str, set[str]]:
    """Return the texts assigned to each name at the top of the module: none for None, several for a tuple."""
    found: dict[str, set[str]] = {}
    for statement in module.body:
        targets = (
            statement.targets if isinstance(statement, ast.Assign) else [statement.target] if isinstance(statement, ast.AnnAssign) else []
        )
        for target in targets:
            value = getattr(statement, "value", None)
            if isinstance(target, ast.Name) and isinstance(value, ast.expr):
                found[target.id] = {
                    node.value for node in ast.walk(value) if isinstance(node, ast.Constant) and isinstance(node.value, str)
                }
    return found
