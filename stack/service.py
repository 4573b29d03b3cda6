"""A service as a component: its spec, realised as containers, and the gate that tells when they are ready.

The forms that the Docker provider needs are all here, each with its reason (tried on a real engine with pulumi-docker 5.2).
"""

import math
from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import pulumi_docker as docker

from stack import probes
from stack.engine import Engine
from stack.naming import COMPOSE_NEEDS, FOLDER_LABEL, RESTARTS_WITH, Naming, needs_label
from stack.readiness import Gate, NotReadyError
from stack.spec import DROPPED_CAPABILITIES, LOG_DRIVER, LOG_OPTIONS, RESTART_POLICY, SECURITY_OPTIONS, Probe, ServiceSpec
from stack.vocabulary import ServiceName, VolumeName

_NOT_APPLIED_IN_PLACE = ["healthcheck", "tmpfs"]
"""What the provider would report as updated and leave as it was: a change must replace the container."""


@dataclass(frozen=True)
class Host:
    """Where services are realised.

    Attributes:
        naming: names and labels.
        folder: of the project.
        network: the network that all services join.
        volumes: the data volumes.
        bind_address: host address of published ports.
        time_zone: of all containers.
        engine: where gates look; None in a preview and under mocks, where gates pass.
        confidential: texts that must not be shown, wherever a plain value holds one.
        cores: how many the engine has; without end where it can't be asked.
        news: the services that this run's gates found to have been away.
    """

    naming: Naming
    folder: Path
    network: docker.Network
    volumes: dict[VolumeName, docker.Volume]
    bind_address: str
    time_zone: str
    engine: Engine | None
    confidential: frozenset[str] = frozenset()
    cores: float = math.inf
    news: set[ServiceName] = field(default_factory=set)

    def guarded(self, value: pulumi.Input[str]) -> pulumi.Input[str]:
        """The value, as a secret when it holds a text that must not be shown."""
        shows = isinstance(value, str) and any(text in value for text in self.confidential)
        return pulumi.Output.secret(value) if shows else value


class Service(pulumi.ComponentResource):
    """The containers of one service.

    Attributes:
        spec: what it is.
        containers: one for each replica.
        container_id: of the first container, known when all are ready.
    """

    def __init__(self, spec: ServiceSpec, host: Host) -> None:
        super().__init__("whatsapp:stack:Service", spec.name)
        self.spec = spec
        self._host = host
        self.containers: list[docker.Container] = []
        ready: list[pulumi.Output[str]] = []
        for number in range(1, spec.replicas + 1):
            self.containers.append(self._container(number, after=ready))
            ready.append(self._ready(self.containers[-1], number))
        self.container_id = pulumi.Output.all(*ready).apply(lambda ids: str(ids[0]))
        self.register_outputs({"containers": [container.name for container in self.containers]})

    def endpoint(self, value: pulumi.Input[str]) -> pulumi.Output[str]:
        """`value`, once the service is ready: whoever uses it waits.

        In a preview there is nothing to wait for. There the id of a container that will be replaced is unknown, and tied to it every
        endpoint would be too: the preview would replace all who use the service, where the `up` replaces none of them.
        """
        if pulumi.runtime.is_dry_run():
            return pulumi.Output.from_input(value)
        return pulumi.Output.all(value, self.container_id).apply(lambda pair: str(pair[0]))

    def _container(self, number: int, after: Sequence[pulumi.Output[str]]) -> docker.Container:
        """One replica, which is touched when those before it are ready.

        So while one is replaced the others serve, and where the new one never is ready, they go on as they were.
        """
        spec, naming = self.spec, self._host.naming
        return docker.Container(
            self._label(number),
            name=naming.container(spec.name, number),
            image=spec.image,
            # A container finds its own hostname in /etc/hosts: named like the service, a replica would find no other by that name.
            hostname=spec.name if spec.replicas == 1 else f"{spec.name}-{number}",
            command=list(spec.command) or None,
            entrypoints=list(spec.entrypoint) or None,
            user=spec.user,
            envs=[self._assignment(name, value) for name, value in sorted({"TZ": self._host.time_zone, **spec.environment}.items())],
            labels=self._labels(number),
            networks_advanced=self._networks(),
            mounts=self._mounts(),
            ports=self._ports(number),
            uploads=[
                docker.ContainerUploadArgs(file=each.path, content=_apart(self._host.guarded(each.content)), permissions=each.mode)
                for each in spec.files
            ],
            healthcheck=self._health_check(spec.probe),
            # must_run: a refresh that finds the container stopped starts it again.
            must_run=True,
            restart=RESTART_POLICY,
            memory=spec.limits.memory_mib,
            memory_swap=spec.limits.memory_mib,  # without it a refresh sees the engine's default as drift; equal means no swap
            cpus=cores(min(spec.limits.cpus, self._host.cores)),  # the engine refuses a limit that limits nothing
            capabilities=docker.ContainerCapabilitiesArgs(
                adds=[f"CAP_{name}" for name in spec.capabilities] or None, drops=list(DROPPED_CAPABILITIES)
            ),
            security_opts=list(SECURITY_OPTIONS),
            log_driver=LOG_DRIVER,
            log_opts=LOG_OPTIONS,
            # The provider kills at once unless told to wait; stop_timeout is for `docker stop` and the engine's own shutdown.
            destroy_grace_seconds=spec.stop_grace_seconds,
            stop_timeout=spec.stop_grace_seconds,
            # Names are fixed, so the old container has to go first. The provider says so only for the changes that it replaces by itself.
            opts=pulumi.ResourceOptions(
                parent=self,
                delete_before_replace=True,
                replace_on_changes=_NOT_APPLIED_IN_PLACE,
                depends_on=_containers_behind([*spec.environment.values(), *(each.content for each in spec.files)], tuple(after)),
            ),
        )

    def _assignment(self, name: str, value: pulumi.Input[str]) -> pulumi.Input[str]:
        value = _apart(self._host.guarded(value))
        # An output costs time at every `up`, and most values are plain.
        return f"{name}={value}" if isinstance(value, str) else pulumi.Output.concat(name, "=", value)

    def _health_check(self, probe: Probe) -> docker.ContainerHealthcheckArgs:
        return docker.ContainerHealthcheckArgs(
            tests=[self._host.guarded(word) for word in probe.test],
            interval=duration(probe.interval),
            timeout=duration(probe.timeout),
            start_period=duration(probe.limit),
            retries=probe.retries,
        )

    def _labels(self, number: int) -> list[docker.ContainerLabelArgs]:
        spec = self.spec
        known = {
            **self._host.naming.container_labels(spec.name, number),
            FOLDER_LABEL: str(self._host.folder),
            COMPOSE_NEEDS: needs_label(spec.needs, spec.restarts_with),
            probes.PROBE_LABEL: probes.label(spec.probe),
        }
        labels: dict[str, pulumi.Input[str]] = {name: value for name, value in known.items() if value}
        labels |= {f"{RESTARTS_WITH}.{name}": value for name, value in spec.restarts_with.items()}
        return [docker.ContainerLabelArgs(label=label, value=value) for label, value in labels.items()]

    def _networks(self) -> list[docker.ContainerNetworksAdvancedArgs]:
        # By id: attached by name, containers would stay detached from a network that was removed and made again.
        return [docker.ContainerNetworksAdvancedArgs(name=self._host.network.id, aliases=[self.spec.name, *self.spec.aliases])]

    def _mounts(self) -> list[docker.ContainerMountArgs]:
        volumes = self._host.volumes
        data = [
            docker.ContainerMountArgs(type="volume", target=path, source=volumes[name].name) for path, name in self.spec.volumes.items()
        ]
        host = [
            docker.ContainerMountArgs(type="bind", target=bind.target, source=str(bind.source), read_only=bind.read_only)
            for bind in self.spec.binds
        ]
        return data + host

    def _ports(self, number: int) -> list[docker.ContainerPortArgs]:
        # Ascending, as the provider reads them back.
        return [
            docker.ContainerPortArgs(internal=port.container, external=port.host + number - 1, ip=self._host.bind_address)
            for port in sorted(self.spec.ports, key=lambda port: port.container)
        ]

    def _label(self, number: int) -> str:
        """What a container is called in Pulumi, and in what it tells; scaling must not rename the first one."""
        return self.spec.name if number == 1 else f"{self.spec.name}-{number}"

    def _ready(self, container: docker.Container, number: int) -> pulumi.Output[str]:
        if self._host.engine is None:
            return container.id
        spec, naming = self.spec, self._host.naming
        gate = Gate(self._host.engine, naming.project, spec.name, spec.probe, spec.stop_grace_seconds, tell=pulumi.log.info)

        async def pass_gate(known: list[str]) -> str:
            container_id, *others = known
            try:
                is_news = not self._host.news.isdisjoint(spec.needs)
                passed = await gate.wait(container_id, dict(zip(spec.restarts_with, others, strict=True)), is_news=is_news)
            except NotReadyError as error:
                raise pulumi.RunError(str(error)) from error
            if passed.was_away:
                self._host.news.add(spec.name)
            if passed.found_out:
                pulumi.log.info(f"{self._label(number)} is ready")
            return container_id

        return pulumi.Output.all(container.id, *self.spec.restarts_with.values()).apply(pass_gate)


def _apart(value: pulumi.Input[str]) -> pulumi.Input[str]:
    """The value, no longer tied to the containers that it waited for.

    Before Pulumi replaces a container it removes those with a property that came from it, in case the property changes with it: a new
    memory limit of a database would restart all who use it. No address depends on which container has it; `depends_on` keeps the order.
    """
    if not isinstance(value, pulumi.Output):
        return value

    async def others() -> set[pulumi.Resource]:
        return {each for each in await value.resources() if not isinstance(each, docker.Container)}

    content = _Later(lambda: value.future(with_unknowns=True))  # unknown is an answer too
    return pulumi.Output(_Later(others), content, _Later(value.is_known), _Later(value.is_secret))


@dataclass(frozen=True)
class _Later:
    """Something to wait for that is not begun before: when the first of several fails, Python would complain of those begun in vain."""

    begin: Callable[[], Awaitable[Any]]

    def __await__(self) -> Generator[Any, None, Any]:
        return self.begin().__await__()


def _containers_behind(values: Sequence[pulumi.Input[str]], after: Sequence[pulumi.Output[str]]) -> pulumi.Output[list[pulumi.Resource]]:
    """The containers that values wait for, told when all of `after` is known; those need not outlive who comes after them."""

    async def found() -> list[pulumi.Resource]:
        for each in after:
            await each.future(with_unknowns=True)
        behind = [await value.resources() for value in values if isinstance(value, pulumi.Output)]
        return [each for each in set().union(*behind) if isinstance(each, docker.Container)]

    return pulumi.Output.from_input(found())


def duration(seconds: int) -> str:
    """Seconds as the engine's own notation gives them back, `1m30s` and not `90s`: any other form is a change at every `up`."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s" if minutes else f"{rest}s"


def cores(value: float) -> str:
    """A CPU limit as the engine gives it back, `1.0` and `0.5`: any other form replaces the container at every `up`."""
    return str(round(float(value), 2))
