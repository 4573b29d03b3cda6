"""The operator's commands beyond up and down, for `ops.__main__` to add."""

from __future__ import annotations

import os
from pathlib import Path

import click

# As there: a command imports what it needs when it runs.
# ruff: noqa: PLC0415

_stack = click.option("--stack", default=lambda: os.environ.get("STACK", "dev"), help="The stack: dev, prod, or one of your own.")


@click.command()
@click.option("--format", "form", type=click.Choice(["svg", "mermaid"]), default="svg", show_default=True)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File to write; stdout when left out.")
@_stack
def graph(stack: str, form: str, out: Path | None) -> None:
    """Draw the topology, as the settings make it."""
    from ops.topology import graph

    graph(stack, form, out)


@click.command()
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), help="Where to; compose/<stack> when left out.")
@_stack
def compose(stack: str, folder: Path | None) -> None:
    """Write an equivalent compose file."""
    from ops.topology import compose

    compose(stack, folder)
