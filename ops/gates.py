"""The program's own gate, for containers that a command starts: each with the probe and the limit that it was made with."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from ops.console import say
from ops.errors import OperatorError
from stack.engine import Engine
from stack.naming import COMPOSE_PROJECT, COMPOSE_SERVICE
from stack.probes import probe_of
from stack.readiness import Gate, NotReadyError
from stack.spec import Probe
from stack.vocabulary import ServiceName

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Sequence
    from typing import Any

    from docker import DockerClient

    from ops.engine import SeenContainer

_GRACE_SECONDS = 10
"""The engine's own default."""

_NO_CHECK = Probe(("CMD", "true"), limit=0)
"""For a container that has no health check: it is ready when it runs."""


class Gates:
    """The gates of containers on one engine. What starts while there are none of them yet counts as having run before."""

    def __init__(self, client: DockerClient) -> None:
        self._engine = Engine(client)

    def wait(self, containers: Iterable[str]) -> None:
        """Wait until each of some containers is ready.

        Raises:
            OperatorError: one can't become so, or did not within its limit; with the gate's report.
        """
        asyncio.run(_all([self._pass(container) for container in containers]))

    def restart(self, containers: Sequence[SeenContainer]) -> None:
        """Restart containers, each when those that it needs, and the replicas before it, are ready again, and say of each that it is.

        Raises:
            OperatorError: one does not become ready. Those that need it are left as they are.
        """
        asyncio.run(self._restart_in_order(containers))

    async def _restart_in_order(self, containers: Sequence[SeenContainer]) -> None:
        tasks: dict[str, asyncio.Task[None]] = {}

        async def restart(container: SeenContainer, others_before: Sequence[SeenContainer]) -> None:
            needed = [each for each in containers if each.service in container.needs]
            replicas = [each for each in others_before if each.service == container.service]
            for each in (*needed, *replicas):
                await tasks[each.id]
            begun = time.monotonic()
            await self._gate(container.id).restart(container.id)
            await self._pass(container.id)
            say(f"{container.name} restarted, ready after {time.monotonic() - begun:.1f} s", "green")

        tasks.update({each.id: asyncio.create_task(restart(each, containers[:place])) for place, each in enumerate(containers)})
        await _all(tasks.values())

    async def _pass(self, container: str) -> None:
        await self._gate(container).wait(container, {})

    def _gate(self, container: str) -> Gate:
        configuration = self._engine.api.inspect_container(container)["Config"]
        labels = configuration["Labels"]
        return Gate(
            self._engine,
            labels[COMPOSE_PROJECT],
            ServiceName(labels[COMPOSE_SERVICE]),
            probe_of(configuration) or _NO_CHECK,
            configuration.get("StopTimeout") or _GRACE_SECONDS,
            tell=say,
        )


async def _all(passing: Iterable[Coroutine[Any, Any, None] | asyncio.Task[None]]) -> None:
    """Wait for all, also when one fails; then tell each failure once, for whoever waits for what failed fails with it."""
    results = await asyncio.gather(*passing, return_exceptions=True)
    failures = {id(result): result for result in results if result is not None}
    for failure in failures.values():
        if not isinstance(failure, NotReadyError):
            raise failure
    if failures:
        raise OperatorError("\n\n".join(str(failure) for failure in failures.values()))
