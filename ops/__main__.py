"""The command line: `python -m ops COMMAND`, in the project's virtual environment."""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING

import click

from ops.backup.commands import BACKUPS
from ops.console import complain, report
from ops.errors import OperatorError, Stopped
from ops.operations import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Callable

# The modules that do the work are imported in the commands: `make help` and `make logs` need not pay for what `make up` needs.
# ruff: noqa: PLC0415

_stack = click.option("--stack", default=lambda: os.environ.get("STACK", "dev"), help="The stack: dev, prod, or one of your own.")
_service = click.option("--service", default="", help="One service; all when left out.")


class _Commands(click.Group):
    """Leaves it to `main` that nobody reads any more: click would end with 1, which says that something is wrong."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise BrokenPipeError from error  # without the number by which click knows it


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
def commands() -> None:
    """Bring up and work with the WhatsApp application environment."""


@commands.command()
@_stack
def setup(stack: str) -> None:
    """Make what the machine lacks, and nothing else."""
    from ops.session import open_session

    open_session(stack)


@commands.command()
@_stack
def up(stack: str) -> None:
    """Bring the stack up, or to what its settings say now; repair what is away."""
    from ops.up import up

    up(stack)


@commands.command()
@_stack
def down(stack: str) -> None:
    """Take the stack down; its data stays."""
    from ops.up import down

    down(stack)


@commands.command()
@_stack
def wipe(stack: str) -> None:
    """Take the stack down and remove its data."""
    from ops.up import wipe

    wipe(stack, agreed=os.environ.get("YES") == "1")


@commands.command()
@_stack
def preview(stack: str) -> None:
    """Show what `up` would change."""
    from ops.up import preview

    sys.exit(preview(stack))


@commands.command()
@_stack
@_service
def rotate(stack: str, service: str) -> None:
    """Replace the generated secrets of a service, or of all, and restart those who use them."""
    from ops.rotate import rotate

    rotate(stack, service, agreed=os.environ.get("YES") == "1")


@commands.command()
@_stack
@_service
def rename(stack: str, service: str) -> None:
    """Rename a database's user and the database to what the settings say; the data stays."""
    from ops.rename import rename

    rename(stack, service, agreed=os.environ.get("YES") == "1")


@commands.command()
@_stack
def env(stack: str) -> None:
    """Print the exports that make bare `pulumi` work: eval "$(make -s env)"."""
    from ops.session import open_session

    for name, value in {**open_session(stack).variables, "PULUMI_STACK": stack}.items():
        click.echo(f"export {name}={shlex.quote(value)}")


@commands.command()
@_stack
def ps(stack: str) -> None:
    """List the containers."""
    from ops.containers import ps

    ps(stack)


@commands.command()
@_stack
@_service
@click.option("--tail", type=click.IntRange(0), help="Old lines of each container to begin with: 50, or all since --since.")
@click.option("--since", default="", help="Age or moment of the oldest line: 90s, 10m, 2h, 1d, 2026-11-22T13:00.")
@click.option("--follow/--no-follow", default=True, show_default=True, help="Go on as new lines come.")
def logs(stack: str, service: str, tail: int | None, since: str, follow: bool) -> None:
    """Follow the logs of all services, or of one."""
    from ops.logs import logs

    logs(stack, service, tail, since, follow)


@commands.command(name="exec", context_settings={"ignore_unknown_options": True})
@_stack
@click.option("--service", default="app", show_default=True)
@click.option("--number", type=click.IntRange(1), default=1, show_default=True, help="Which of several containers of the service.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def run_inside(stack: str, service: str, number: int, command: tuple[str, ...]) -> None:
    """Run a command in a service's container; a shell when none is given."""
    from ops.containers import run_inside

    sys.exit(run_inside(stack, service, command or ("sh",), number))


@commands.command(context_settings={"ignore_unknown_options": True})
@_stack
@click.option("--service", default="db", show_default=True)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def psql(stack: str, service: str, arguments: tuple[str, ...]) -> None:
    """Open psql on a database (db or evolution_postgres)."""
    from ops.containers import psql

    sys.exit(psql(stack, service, arguments))


@commands.command()
@_stack
def smoke(stack: str) -> None:
    """Try the application from inside: its database, Evolution, the key."""
    from ops.containers import run_inside

    sys.exit(run_inside(stack, "app", ("python", "-m", "scripts.smoke")))


@commands.command()
@_stack
@_service
def restart(stack: str, service: str) -> None:
    """Restart a service, or all, and wait until it is ready."""
    from ops.containers import restart

    restart(stack, service)


@commands.command()
@_stack
@click.option("--service", default="app", show_default=True)
def rebuild(stack: str, service: str) -> None:
    """Build a service's image again and bring it up."""
    from ops.tasks import rebuild

    rebuild(stack, service)


@commands.command()
@_stack
@click.option("--app", required=True, type=int, help="How many app containers.")
def scale(stack: str, app: int) -> None:
    """Set the number of app containers, in the settings file, and bring the stack there."""
    from ops.tasks import scale

    scale(stack, app)


@commands.command()
@click.option("--upgrade", is_flag=True, help="At the newest versions; without it, what is pinned stays where it can.")
def lock(upgrade: bool) -> None:
    """Pin all requirements."""
    from ops.tasks import lock

    lock(upgrade)


@commands.command()
def bench() -> None:
    """Measure set-up, start, no-op, stop, idle memory and CPU."""
    from bench.run import main

    main()


def _checks(group: str, summary: str) -> None:
    @commands.command(name=group, help=summary, context_settings={"ignore_unknown_options": True})
    @click.argument("extra", nargs=-1, type=click.UNPROCESSED)
    def check(extra: tuple[str, ...]) -> None:
        from ops.checks import run

        run(group, extra)


_checks("lint", "Lint rules, format, types.")
_checks("test-unit", "Unit tests: no Docker, seconds.")
_checks("test-app", "Tests of the application and the simulator.")
_checks("contract", "Tests of Evolution API's contract, on the simulator or on a real one.")
_checks("test-e2e", "Tests on the real engine.")
_checks("test-faults", "What goes wrong, what is told of it, and that `up` mends it.")
_checks("test", "Lint, types and all tests, but of test-faults one of each kind, and of test-e2e none of whole backups.")


for operation in (*OPERATIONS, *BACKUPS):
    commands.add_command(operation)


def main(run: Callable[..., object] = commands) -> int:
    """Run one command; the exit code."""
    try:
        run(prog_name="make" if "MAKELEVEL" in os.environ else "ops", standalone_mode=False)
    except OperatorError as error:
        report(error)
        return 1
    except (Stopped, KeyboardInterrupt, click.Abort):
        complain("Stopped. Run the same command again to go on.", "yellow")
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it flushes at exit
        return 141
    except OSError as error:  # also what the Docker client raises when the engine breaks off
        report(OperatorError("The command was cut short.", f"{type(error).__name__}: {error}", "Mend the cause, then run it again."))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
