"""The operator's commands beyond up and down, for `ops.__main__` to add."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

# As there: a command imports what it needs when it runs.
# ruff: noqa: PLC0415

_stack = click.option("--stack", default=lambda: os.environ.get("STACK", "dev"), help="The stack: dev, prod, or one of your own.")
_json = click.option("--json", "as_json", is_flag=True, help="For scripts.")


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


@click.command()
@_stack
@_json
@click.option("--once", is_flag=True, help="Show the table once; on a terminal it goes on until Ctrl-C otherwise.")
def status(stack: str, as_json: bool, once: bool) -> None:
    """Show the services: state, health, restarts, CPU, memory. Exit code 1 when one is not well."""
    from ops.status import status

    sys.exit(status(stack, as_json, live=not once))


@click.command()
@_stack
@_json
def urls(stack: str, as_json: bool) -> None:
    """List the pages and interfaces of the running stack."""
    from ops.status import urls

    urls(stack, as_json)


@click.command(name="open")
@_stack
@click.option("--page", default="app", show_default=True, help="As `urls` names it.")
def open_page(stack: str, page: str) -> None:
    """Open a page in the browser."""
    from ops.status import open_page

    open_page(stack, page)


@click.command()
@_stack
@_json
def doctor(stack: str, as_json: bool) -> None:
    """Say what is wrong, or soon will be, and what mends it. Exit code 1 when something is wrong."""
    from ops.doctor import doctor

    sys.exit(doctor(stack, as_json))


@click.command()
@_stack
@_json
def upgrade(stack: str, as_json: bool) -> None:
    """Tell what images an up would change, and which have a newer one. Exit code 1 when a change would be refused."""
    from ops.upgrade import upgrade

    sys.exit(upgrade(stack, as_json))


@click.command(name="upgrade-postgres")
@_stack
@click.option("--service", default="db", show_default=True, help="db or evolution_postgres.")
@click.option("--image", required=True, help="An image of a newer major version, as in postgres:17.")
def upgrade_postgres(stack: str, service: str, image: str) -> None:
    """Move a database's data to another major version of Postgres; the old volume is kept."""
    from ops.backup.stopping import end_in_peace
    from ops.postgres_upgrade import upgrade_postgres

    end_in_peace()
    upgrade_postgres(stack, service, image, agreed=os.environ.get("YES") == "1")


OPERATIONS = (doctor, graph, compose, status, urls, open_page, upgrade, upgrade_postgres)
"""All of them."""
