"""The program run without an engine: each service's spec with every value known, and what it needs.

A compose file and the picture of the topology are made from this.
"""

import asyncio
import runpy
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pulumi
from pulumi.runtime.mocks import MockCallArgs, MockResourceArgs, Mocks

from stack.naming import Naming
from stack.settings import MACHINE_FILE, Settings
from stack.settings_layers import read_env
from stack.spec import ServiceSpec
from stack.vocabulary import ServiceName

if TYPE_CHECKING:
    from stack.service import Service


@dataclass(frozen=True)
class Part:
    """One service of a topology.

    Attributes:
        spec: what it is; every value in it is plain text.
        needs: the services that have to be ready before it starts.
    """

    spec: ServiceSpec
    needs: frozenset[ServiceName]


@dataclass(frozen=True)
class Topology:
    """What the program would make of a stack.

    Attributes:
        settings: of the stack.
        naming: names and labels on the engine.
        parts: its services, in the program's order.
        builds: by the reference of each image that is built, the arguments of its build, in the Docker provider's own names.
    """

    settings: Settings
    naming: Naming
    parts: tuple[Part, ...]
    builds: Mapping[str, Mapping[str, Any]]


def rehearse(
    folder: Path, stack: str, configuration: Mapping[str, str], secrets: Mapping[str, str], encrypted: Collection[str] = ()
) -> Topology:
    """Run the program of `folder` for a stack, against nothing.

    Args:
        folder: the project.
        stack: the stack's name.
        configuration: the stack's own configuration, by setting name.
        secrets: generated secrets by setting name; one that is missing shows as its name in angle brackets.
        encrypted: the names that are encrypted in the configuration.

    Raises:
        pulumi.RunError: the settings are wrong.
    """
    asyncio.set_event_loop(asyncio.new_event_loop())  # the SDK takes the current one, which may be closed
    engine = _NoEngine(secrets)
    pulumi.runtime.set_mocks(engine, project="whatsapp", stack=stack, preview=False)
    machine = {name: given.value for name, given in read_env(folder, str(MACHINE_FILE), []).items()}
    plain = {f"whatsapp:{name}": value for name, value in {**machine, **configuration}.items()}
    pulumi.runtime.set_all_config(plain, [f"whatsapp:{name}" for name in encrypted])
    found: list[Topology] = []

    async def resolved(names: dict[str, Any]) -> None:
        services: list[Service] = names["services"]
        owners = {id(container): service.spec.name for service in services for container in service.containers}
        parts = [Part(await _plain(service.spec), await _needs(service.spec, owners)) for service in services]
        found.append(Topology(names["settings"], names["context"].host.naming, tuple(parts), engine.builds))

    @pulumi.runtime.test  # type: ignore[untyped-decorator] # waits for all that the program began; the SDK's decorator has no types
    def program() -> pulumi.Output[None]:
        return pulumi.Output.from_input(resolved(runpy.run_path(str(folder / "__main__.py"))))

    program()
    return found[0]


class _NoEngine(Mocks):
    """Answers what the providers would: images go by their references."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._secrets = secrets
        self.builds: dict[str, Mapping[str, Any]] = {}

    def new_resource(self, args: MockResourceArgs) -> tuple[str, dict[str, Any]]:
        state = dict(args.inputs)
        if args.typ == "random:index/randomPassword:RandomPassword":
            name = args.name.replace("-", "_").upper()
            state["result"] = self._secrets.get(name, f"<{name}>")
        if args.typ == "docker:index/remoteImage:RemoteImage":
            state["imageId"] = args.inputs["name"]
            if "build" in args.inputs:
                self.builds[args.inputs["name"]] = args.inputs["build"]
        return args.name, state

    def call(self, args: MockCallArgs) -> NoReturn:
        raise AssertionError(f"the program looks something up ({args.token}), which a rehearsal can't answer")


async def _plain(spec: ServiceSpec) -> ServiceSpec:
    """The spec with each output replaced by its value."""
    return replace(
        spec,
        image=await _value(spec.image),
        environment={name: await _value(value) for name, value in spec.environment.items()},
        files=tuple([replace(file, content=await _value(file.content)) for file in spec.files]),
        restarts_with={name: await _value(value) for name, value in spec.restarts_with.items()},
    )


async def _value(given: pulumi.Input[str]) -> str:
    value = await pulumi.Output.from_input(given).future()
    return str(value)


async def _needs(spec: ServiceSpec, owners: Mapping[int, ServiceName]) -> frozenset[ServiceName]:
    """Whose containers the values of a spec wait for: the same dependencies by which Pulumi orders the start."""
    needs: set[ServiceName] = set()
    for value in (*spec.environment.values(), *(file.content for file in spec.files), *spec.restarts_with.values()):
        resources = await pulumi.Output.from_input(value).resources()
        needs |= {owners[id(each)] for each in resources if id(each) in owners}
    return frozenset(needs - {spec.name})
