"""`rotate`: new values for generated secrets, of one service or of all.

What is to be replaced is marked in Pulumi's own state, in one step (`pulumi state taint`): from then on every `up` and every `preview`
knows of it, however often a run is killed, until the new value is in the state. Whatever uses a secret has it as an input, and so is
replaced with it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dotenv import dotenv_values

from ops import checkpoint, engine, heal
from ops.backup import marker
from ops.checkpoint import CONTAINER
from ops.console import ask, columns, say
from ops.errors import OperatorError
from ops.pulumi import run_quietly
from ops.session import open_session, project_name, settings_file, stack_settings
from ops.up import up
from stack.credentials import ACCEPTED_BY, resource_name
from stack.vocabulary import ServiceName

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ops.session import Session

_SECRET = "random:index/randomPassword:RandomPassword"  # noqa: S105 - a type
_KEY_SENT = "evolution_api_key"
"""Never generated under its own name: when it is not given, the key that Evolution API accepts serves."""


@dataclass(frozen=True)
class Plan:
    """What a rotation would do, from Pulumi's preview.

    Attributes:
        urns: the generated secrets to be replaced, by setting.
        replaced: containers that will be made anew, by their names in Pulumi.
        others: other changes of containers that wait for the next `up`, as in "create pgadmin".
    """

    urns: Mapping[str, str]
    replaced: tuple[str, ...]
    others: tuple[str, ...]


def rotate(stack: str, service: str, agreed: bool) -> None:
    """Replace the generated secrets of a service, or of all, and restart whoever uses them.

    Args:
        stack: the stack's name.
        service: whose secrets; all when empty.
        agreed: don't ask.

    Raises:
        OperatorError: there is nothing to rotate, the user did not agree, the stack's data is not whole, or the `up` failed.
    """
    wanted = secrets_of(service)
    session = open_session(stack)
    given = _given(session)
    _name_given(given, wanted, service)
    _refuse_half_restored(session)
    heal.free_the_stack(session)
    generated = [secret for secret in wanted if secret not in given]
    if not generated:
        raise OperatorError("There is nothing to rotate: all of it is given in the settings.", mend="Change it there, then run `make up`.")
    plan = planned(_preview(session, generated), generated)
    if not plan.urns:
        raise OperatorError(
            f"Stack {stack} has no generated secret{f' of {service}' if service else ''} yet.", mend=f"Bring it up: make up STACK={stack}"
        )
    _tell(plan)
    if not agreed:
        ask("Nothing was rotated.")
    run_quietly(session, ["state", "taint", "--yes", *plan.urns.values()])
    up(stack)
    say(f"Rotated: {', '.join(secret.upper() for secret in plan.urns)}. The old values are refused.", "green")


def _refuse_half_restored(session: Session) -> None:
    """Refuse before anything is marked for a new value, and not by the `up` behind it: the next one would exchange it all the same.

    Raises:
        OperatorError: a restore of the stack is at work, or was interrupted.
    """
    project = project_name(session.folder, session.stack, checkpoint.read(session.state, session.stack))
    marker.guard(engine.connect(session.variables), project, session.stack)


def secrets_of(service: str) -> list[str]:
    """The settings of the secrets that a service asks for, those of all services when it is empty.

    Raises:
        OperatorError: there is no such service.
    """
    names = sorted(set(ACCEPTED_BY.values()))
    if service and service not in names:
        raise OperatorError(f"There is no service '{service}' with secrets.", mend=f"Those that have some: {', '.join(names)}")
    return [secret for secret, owner in ACCEPTED_BY.items() if service in {"", owner}]


def planned(preview: Mapping[str, Any], generated: Iterable[str]) -> Plan:
    """The plan in the JSON that `pulumi preview` prints.

    Args:
        preview: that JSON.
        generated: settings of the secrets that are to be replaced.
    """
    secrets = {resource_name(secret): secret for secret in generated}
    urns, replaced, others = {}, [], []
    for step in preview.get("steps", []):
        kind, name = _kind_and_name(step["urn"])
        if kind == _SECRET and step["op"] == "replace" and name in secrets:
            urns[secrets[name]] = step["urn"]
        elif kind == CONTAINER and step["op"] == "replace":
            replaced.append(name)
        elif kind == CONTAINER and step["op"] in {"create", "update", "delete"}:
            others.append(f"{step['op']} {name}")
    return Plan(urns, tuple(sorted(replaced)), tuple(sorted(others)))


def _kind_and_name(urn: str) -> tuple[str, str]:
    _, _, types, name = urn.split("::", 3)  # urn:pulumi:STACK::PROJECT::TYPES::NAME
    return types.rpartition("$")[2], name


def _given(session: Session) -> dict[str, str]:
    """The secrets that the settings give, each with where it stands.

    Raises:
        OperatorError: the settings are wrong.
    """
    settings = stack_settings(session.folder, session.stack)
    file = settings_file(session.folder, session.stack)
    in_file = dotenv_values(file, interpolate=False) if file.is_file() else {}
    found = {name for name in (*ACCEPTED_BY, _KEY_SENT) if getattr(settings, name) is not None}
    origins = {name: file.name if name.upper() in in_file else f"Pulumi.{session.stack}.yaml" for name in found}
    if _KEY_SENT in origins:
        origins.setdefault("authentication_api_key", origins[_KEY_SENT])
    return origins


def _name_given(given: Mapping[str, str], wanted: Iterable[str], service: str) -> None:
    asked = {*wanted, *([_KEY_SENT] if service in {"", ServiceName.APP, ServiceName.EVOLUTION_API} else [])}
    for secret, origin in sorted(given.items()):
        if secret in asked:
            say(f"{secret.upper()} is given in {origin} and stays: change it there, then run `make up`.", "yellow")


def _preview(session: Session, secrets: Iterable[str]) -> dict[str, Any]:
    """What an `up` that replaces these secrets would do.

    Raises:
        OperatorError: the preview fails; with what it says.
    """
    arguments = [word for secret in secrets for word in ("--replace", f"**{_SECRET}::{resource_name(secret)}")]
    try:
        return _document(run_quietly(session, ["preview", "--json", "--non-interactive", *arguments]))
    except OperatorError as error:
        raise OperatorError(error.what, "\n".join(_diagnostics(error.cause)) or error.cause, error.mend) from error


def _document(output: str) -> dict[str, Any]:
    """The first JSON object in what Pulumi printed; warnings may stand before or behind it."""
    start = output.find("{")
    if start < 0:
        return {}
    try:
        found: dict[str, Any] = json.JSONDecoder().raw_decode(output, start)[0]
    except ValueError:
        return {}
    return found


def _diagnostics(output: str) -> Iterator[str]:
    for each in _document(output).get("diagnostics") or []:
        if each.get("severity") == "error":
            yield str(each.get("message", "")).strip()


def _tell(plan: Plan) -> None:
    say("To be replaced by new values:")
    for line in columns([(f"  {secret.upper()}", f"asked for by {ACCEPTED_BY[secret]}") for secret in plan.urns]):
        say(line)
    say(f"Restarted, for they use them: {', '.join(plan.replaced)}. All data stays.")
    if ServiceName.PGADMIN in plan.replaced:
        say("pgadmin keeps its own settings in its container: servers that were added to it by hand are forgotten.", "yellow")
    if plan.others:
        say(f"What else waits for the next up comes with it: {', '.join(plan.others)}.", "yellow")
