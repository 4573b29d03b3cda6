"""One stack for all faults, the data that none of them may lose, and what each of them led to."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from docker.errors import APIError

from tests.e2e.data import Clients, Data
from tests.e2e.environment import Stack, eventually
from tests.e2e.project import Ran
from tests.faults.root import UnableError, send_signal
from tests.faults.table import Row, Table
from tests.faults.volumes import SmallVolume

BY_UP = "`make up`"
BY_SETTING = "setting back, `make up`"
BY_ITSELF = "itself"


@dataclass
class Scene:
    """The stack, up and with data in every place that keeps some.

    Attributes:
        volumes: the small volumes by service; or why there are none.
    """

    stack: Stack
    clients: Clients
    data: Data
    table: Table
    volumes: dict[str, SmallVolume] | UnableError

    def volume(self, service: str) -> SmallVolume:
        """The small volume of a service.

        Raises:
            UnableError: there are none on this machine.
        """
        if isinstance(self.volumes, UnableError):
            raise self.volumes
        return self.volumes[service]

    def signal(self, service: str, name: str) -> None:
        """Send a signal to the first process of a service from outside: from inside, it is immune to most."""
        container = self.stack.container(service)
        process = container.attributes["State"]["Pid"]
        assert process, f"{service} has no process: {container.status}"
        send_signal(name, process, container.id)

    def signal_all(self, service: str, name: str) -> None:
        """Send a signal to every process of a service."""
        container = self.stack.container(service).id
        listed = self.stack.client.api.top(container)
        column = listed["Titles"].index("PID")
        for process in listed["Processes"]:
            send_signal(name, int(process[column]), container)

    def wait_until_healthy(self, services: Iterable[str], seconds: float) -> float:
        """Wait, without a command, until each passes its own health check; how long that took."""

        def all_are_ready() -> bool:
            for service in services:
                self._assert_ready(service)
            return True

        return eventually(seconds, all_are_ready, f"{', '.join(services)} are healthy")

    def _assert_ready(self, service: str) -> None:
        """See that the container passes its health check now."""
        container = self.stack.container(service)
        assert container.status == "running", f"{service} is {container.status}"
        try:
            code, said = self.stack.probe(service)
        except APIError as error:
            raise AssertionError(f"{service} ended between the look and the question") from error
        assert code == 0, f"{service} is not ready: {said}"

    def assert_whole(self) -> None:
        """Everything runs, and all data is as it was."""
        self.stack.assert_works()
        self.data.assert_kept(self.clients)


@dataclass
class Case:
    """One fault of some services: what is told of it, and how it is repaired, a row for each service.

    Attributes:
        begun: when the fault was caused, by the clock that never goes back.
        moment: the same by the clock on the wall.
    """

    scene: Scene
    fault: str
    services: tuple[str, ...]
    begun: float = field(default_factory=time.monotonic)
    moment: float = field(default_factory=time.time)
    _told: dict[str, tuple[str, float]] = field(default_factory=dict)

    def is_told(self, service: str, ran: Ran, *parts: str, beside: float = 0) -> None:
        """See that a command, just now, tells it, and soon; the row quotes the line that has the first part.

        Args:
            service: whose fault it is.
            ran: the command.
            parts: what it must say.
            beside: seconds that it may take for other things, as for the repair.
        """
        ran.assert_tells(*parts)
        ran.assert_soon(beside)
        line = next(line for line in ran.output.splitlines() if parts[0] in line)
        self._told[service] = (line[line.index(parts[0]) :].strip().removeprefix("- ")[:160], time.monotonic() - self.begun)

    def notes(self, service: str, told: str, seconds: float) -> None:
        """Keep for the row what was told."""
        self._told[service] = (told[:160], seconds)

    def needs_no_telling(self) -> None:
        """It mends itself."""
        self._told = dict.fromkeys(self.services, ("nothing: it mends itself", 0.0))

    def is_repaired(self, by: str, seconds: float) -> None:
        """See that all is as before, and write the rows.

        Args:
            by: what repaired it.
            seconds: how long that took.
        """
        self.scene.assert_whole()
        for service in self.services:
            told, until = self._told[service]
            self.scene.table.rows.append(Row(service, self.fault, told, until, by, seconds))

    def is_repaired_by_up(self, by: str = BY_UP, *names: str) -> Ran:
        """Run `make up`, which must name what it repairs, and write the rows."""
        ran = self.scene.stack.up()
        ran.assert_tells(*names)
        self.is_repaired(by, ran.seconds)
        return ran
