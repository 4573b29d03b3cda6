"""Runs the program under Pulumi's mocks, with an engine that records what it is asked for."""

import asyncio
import re
import runpy
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pulumi
from pulumi.runtime.mocks import MockCallArgs, MockMonitor, MockResourceArgs, Mocks

PROJECT = Path(__file__).resolve().parents[2]
SECRET = "4dabf18193072939515e22adb298388d"
"""Pulumi's mark of a secret on the wire: a wrapped value carries it."""

_READ_BY_THE_PROGRAM = ("Dockerfile", ".dockerignore", "src", "scripts", "tasks", "alembic", "alembic.ini", "images", "simulator")


@dataclass(frozen=True)
class Resource:
    """One resource as it reached the engine: inputs in the provider's own names, secrets unwrapped; and the options that guard data."""

    type: str
    name: str
    inputs: dict[str, Any]
    secrets: frozenset[str]
    is_protected: bool = False
    is_kept: bool = False

    @property
    def environment(self) -> dict[str, str]:
        return dict(each.partition("=")[::2] for each in self.inputs["envs"])

    @property
    def labels(self) -> dict[str, str]:
        return {each["label"]: each["value"] for each in self.inputs["labels"]}

    @property
    def files(self) -> dict[str, str]:
        return {each["file"]: each["content"] for each in self.inputs.get("uploads", [])}

    @property
    def ports(self) -> dict[int, int]:
        return {int(each["internal"]): int(each["external"]) for each in self.inputs.get("ports", [])}

    @property
    def mounts(self) -> dict[str, str]:
        return {each["target"]: each["source"] for each in self.inputs.get("mounts", [])}


class _Options(MockMonitor):
    """The one place where mocks show a resource's options."""

    def __init__(self, recorder: "Recorder") -> None:
        super().__init__(recorder)
        self._recorder = recorder

    def RegisterResource(self, request: Any) -> Any:  # noqa: ANN401, N802 - protobuf's
        self._recorder.options[request.type, request.name] = (request.protect, request.retainOnDelete)
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]  # the SDK's has no types


class Recorder(Mocks):
    """An engine and a random provider that give back what the real ones would; silent ones give back what they got, and no more."""

    def __init__(self, *, silent: bool = False) -> None:
        self.resources: list[Resource] = []
        self.options: dict[tuple[str, str], tuple[bool, bool]] = {}
        self._silent = silent

    def new_resource(self, args: MockResourceArgs) -> tuple[str, dict[str, Any]]:
        inputs = {name: _plain(value) for name, value in args.inputs.items()}
        secrets = frozenset(name for name, value in args.inputs.items() if _holds_secret(value))
        self.resources.append(Resource(args.typ, args.name, inputs, secrets, *self.options[args.typ, args.name]))
        state = dict(args.inputs)
        if self._silent:
            return f"id-of-{args.name}", state
        if args.typ == "random:index/randomPassword:RandomPassword":
            state["result"] = pulumi.Output.secret(f"generated-{args.name}")
        if args.typ == "docker:index/remoteImage:RemoteImage":
            state["imageId"] = f"sha256:{args.name}"
        return f"id-of-{args.name}", state

    def call(self, args: MockCallArgs) -> NoReturn:
        raise AssertionError(f"the program looked something up ({args.token}): a preview would need the network for it")


@dataclass(frozen=True)
class Recording:
    """Everything that the program declared and told."""

    resources: tuple[Resource, ...]

    def of_type(self, type_: str) -> list[Resource]:
        return [each for each in self.resources if each.type == f"docker:index/{type_[0].lower()}{type_[1:]}:{type_}"]

    def container(self, name: str) -> Resource:
        found = [each for each in self.of_type("Container") if each.inputs["name"].endswith(f"-{name}-1")]
        assert found, f"no container {name}; there are {[each.inputs['name'] for each in self.of_type('Container')]}"
        return found[0]

    @property
    def image_names(self) -> dict[str, str]:
        """The image of each container, by the service's name; `*` for the hash in the tag of one that is built."""
        names = {}
        for each in self.of_type("RemoteImage"):
            name = each.inputs["name"]
            names[f"sha256:{each.name}"] = re.sub("[0-9a-f]{12}$", "*", name) if "build" in each.inputs else name
        return {each.labels["com.docker.compose.service"]: names[each.inputs["image"]] for each in self.of_type("Container")}


def prepare(folder: Path, stack: str = "dev", env: str | None = None) -> None:
    """Make an empty folder one in which the program runs, with nothing of this machine's."""
    shutil.copy(PROJECT / "__main__.py", folder)
    for name in _READ_BY_THE_PROGRAM:
        if not (folder / name).exists():
            (folder / name).symlink_to(PROJECT / name)
    if env is not None:
        (folder / (".env" if stack == "dev" else f".env.{stack}")).write_text(env)


def record(
    folder: Path,
    stack: str = "dev",
    env: str | None = None,
    configuration: dict[str, str] | None = None,
    encrypted: Sequence[str] = (),
    *,
    silent: bool = False,
) -> Recording:
    """Run the program in a folder of its own, so that this machine's settings and state don't count.

    Args:
        folder: an empty folder.
        stack: the stack's name.
        env: what the stack's settings file holds.
        configuration: the stack's configuration, by setting name.
        encrypted: the names that are encrypted in it.
        silent: whether the providers make nothing up, neither passwords nor images' ids.
    """
    prepare(folder, stack, env)
    asyncio.set_event_loop(asyncio.new_event_loop())  # the SDK takes the current one, which another test may have closed
    recorder = Recorder(silent=silent)
    pulumi.runtime.set_mocks(recorder, project="whatsapp", stack=stack, preview=False, monitor=_Options(recorder))
    plain = {f"whatsapp:{name}": value for name, value in (configuration or {}).items()}
    pulumi.runtime.set_all_config(plain, [f"whatsapp:{name}" for name in encrypted])

    @pulumi.runtime.test  # type: ignore[untyped-decorator] # the SDK's own decorator has no types
    def program() -> None:
        runpy.run_path(str(folder / "__main__.py"))

    program()
    return Recording(tuple(recorder.resources))


def _holds_secret(value: Any) -> bool:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return SECRET in value or any(_holds_secret(each) for each in value.values())
    return isinstance(value, list) and any(_holds_secret(each) for each in value)


def _plain(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return _plain(value["value"]) if SECRET in value else {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value
