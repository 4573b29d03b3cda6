"""What the toolchain is built from, and a key that changes with it."""

import hashlib
from pathlib import Path

NOT_AN_INPUT = ("__pycache__", "schema.json", "README.md")
"""Names in this directory that don't change what is built."""


def sources_key(sources: Path) -> str:
    """A hash over everything in the toolchain's directory that decides what is built: names and contents."""
    digest = hashlib.sha256()
    for file in sorted(sources.rglob("*")):
        inside = file.relative_to(sources)
        if file.is_file() and not set(NOT_AN_INPUT).intersection(inside.parts):
            content = file.read_bytes()
            digest.update(f"{inside.as_posix()}\0{len(content)}\0".encode())
            digest.update(content)
    return digest.hexdigest()[:16]
