"""The same topology as a compose file: for whoever wants to leave, and a fair opponent in comparisons."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from stack.images import LOCAL_PREFIX
from stack.rehearsal import Part, Topology
from stack.service import duration
from stack.spec import DROPPED_CAPABILITIES, LOG_DRIVER, LOG_OPTIONS, RESTART_POLICY, SECURITY_OPTIONS, ServiceSpec

FILES = "files"
"""The folder beside the compose file with what containers find as files: secrets and configuration."""


def files(topology: Topology) -> Iterator[tuple[Path, str, int]]:
    """Everything that belongs beside the compose file: path below its folder, content, permissions."""
    for part in topology.parts:
        for file in part.spec.files:
            yield _beside(part.spec, file.path), str(file.content), int(file.mode, 8)


def document(topology: Topology) -> str:
    """The compose file. It uses the stack's own volumes and network names, so it runs in the stack's place, with its data.

    Secrets are in it in plain text, in `environment`, where an image reads no files.
    """
    naming = topology.naming
    volumes = sorted({name for part in topology.parts for name in part.spec.volumes.values()})
    content = {
        "name": naming.project,
        "services": {str(part.spec.name): _service(part, topology) for part in topology.parts},
        "networks": {"app-network": {"name": naming.network(), "driver": "bridge"}},
        "volumes": {str(name): {"name": naming.volume(name)} for name in volumes},
    }
    head = f"# Made by `make compose STACK={naming.stack}`. Holds secrets: keep it out of git.\n"
    return head + yaml.safe_dump(content, sort_keys=False, width=140, allow_unicode=True)


def _service(part: Part, topology: Topology) -> dict[str, Any]:
    spec, settings = part.spec, topology.settings
    alone = spec.replicas == 1
    service: dict[str, Any] = {
        "image": str(spec.image),
        "build": _build(str(spec.image), topology),
        "pull_policy": "never" if str(spec.image).startswith(LOCAL_PREFIX) else None,
        "hostname": str(spec.name) if alone else None,
        "deploy": None if alone else {"replicas": spec.replicas},
        "entrypoint": _words(spec.entrypoint),
        "command": _words(spec.command),
        "user": spec.user,
        "environment": {name: _escaped(str(value)) for name, value in sorted({"TZ": settings.tz, **spec.environment}.items())},
        "networks": {"app-network": {"aliases": [str(spec.name), *spec.aliases]}},
        "volumes": _mounts(spec),
        "ports": _ports(spec, settings.bind_address),
        "depends_on": {
            str(name): {"condition": "service_healthy", **({"restart": True} if name in spec.restarts_with else {})}
            for name in sorted(part.needs)
        },
        "healthcheck": {
            "test": [_escaped(word) for word in spec.probe.test],
            "interval": duration(spec.probe.interval),
            "timeout": duration(spec.probe.timeout),
            "start_period": duration(spec.probe.limit),
            "retries": spec.probe.retries,
        },
        "restart": RESTART_POLICY,
        "stop_grace_period": duration(spec.stop_grace_seconds),
        "mem_limit": f"{spec.limits.memory_mib}m",
        "memswap_limit": f"{spec.limits.memory_mib}m",
        "cpus": spec.limits.cpus,
        "cap_drop": list(DROPPED_CAPABILITIES),
        "cap_add": list(spec.capabilities),
        "security_opt": list(SECURITY_OPTIONS),
        "logging": {"driver": LOG_DRIVER, "options": dict(LOG_OPTIONS)},
    }
    return {name: value for name, value in service.items() if value not in (None, [], {})}


def _build(image: str, topology: Topology) -> dict[str, Any] | None:
    """How to build the application's image again; the local images are there already, and no compose file makes their foundations."""
    build = topology.builds.get(image)
    if build is None or image.startswith(LOCAL_PREFIX):
        return None
    return {"context": build["context"], "target": build["target"], "args": dict(build["buildArgs"]), "network": build["networkMode"]}


def _mounts(spec: ServiceSpec) -> list[dict[str, Any]]:
    data = [{"type": "volume", "source": str(name), "target": path} for path, name in spec.volumes.items()]
    host = [{"type": "bind", "source": str(bind.source), "target": bind.target, "read_only": bind.read_only} for bind in spec.binds]
    given = [{"type": "bind", "source": f"./{_beside(spec, file.path)}", "target": file.path, "read_only": True} for file in spec.files]
    return data + host + given


def _ports(spec: ServiceSpec, address: str) -> list[dict[str, Any]]:
    def published(host: int) -> str:
        return str(host) if spec.replicas == 1 else f"{host}-{host + spec.replicas - 1}"

    return [{"target": port.container, "published": published(port.host), "host_ip": address, "protocol": "tcp"} for port in spec.ports]


def _beside(spec: ServiceSpec, path: str) -> Path:
    return Path(FILES) / str(spec.name) / path.lstrip("/")


def _words(words: tuple[str, ...]) -> list[str]:
    return [_escaped(word) for word in words]


def _escaped(text: str) -> str:
    """Compose replaces `$NAME`; a doubled sign stands for itself."""
    return text.replace("$", "$$")
