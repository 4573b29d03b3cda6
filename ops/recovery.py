"""What has to happen before `pulumi up` can succeed: observed state in, plan out.

Everything here is a pure function; `ops.heal` carries a plan out. What each rule rests on was tried on a real engine: Pulumi does not look
at the engine unless it refreshes; an operation that was killed leaves a container which the state doesn't know, whose name is in the way of
every later run; and a network left by a lost state is refused too ("network with name ... already exists").
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ops.checkpoint import Checkpoint
from ops.engine import Observed, SeenContainer, SeenNetwork
from ops.processes import Lock, Process, is_stale
from stack.naming import Naming

_STARTABLE = frozenset({"exited", "paused"})
"""States out of which a plain start brings a container. A refresh would replace it, and all that depends on it: the engine shows no
ports on a container that doesn't run, and the provider takes that for a difference (tried: 22 s and two new containers against 4 s)."""

_LEFT_TO_UP = frozenset({"running", "restarting", "created"})
"""States that need nothing before an `up`: a crash loop is the health gate's business; a container whose first start failed is replaced."""


GONE = "is gone"
GONE_WITH_DATA = "is gone, and its data with it"
ANOTHER = "is another one by now"


@dataclass(frozen=True)
class Difference:
    """Something that the state has and the engine hasn't, or has another of.

    Attributes:
        what: a service, or network, volume or image with its name.
        how: one of the above, or the state of a container that no start can mend.
    """

    what: str
    how: str

    def __str__(self) -> str:
        return f"{self.what} {self.how}"


@dataclass(frozen=True)
class Plan:
    """What to do before an `up`.

    Attributes:
        foreign: containers of a Compose project with our name that this program did not make; with any of them, nothing may be done.
        orphans: our containers that the state doesn't know; they hold no data.
        orphan_networks: networks that the state doesn't know and that have our network's name; of a Compose project only when it is gone.
        clear_pending: whether the state has creations that never ended, to be cleared after the orphans are gone.
        stopped: containers that need no more than to be started.
        differences: any of them asks for a refresh.
    """

    foreign: tuple[SeenContainer, ...] = ()
    orphans: tuple[SeenContainer, ...] = ()
    orphan_networks: tuple[SeenNetwork, ...] = ()
    clear_pending: bool = False
    stopped: tuple[SeenContainer, ...] = ()
    differences: tuple[Difference, ...] = ()

    @property
    def drift(self) -> tuple[str, ...]:
        """The differences, a sentence each."""
        return tuple(map(str, self.differences))

    @property
    def refresh(self) -> bool:
        """Whether `up` has to look at the engine again (2 to 4 s)."""
        return bool(self.differences)


def plan(checkpoint: Checkpoint, observed: Observed, project: str, stack: str) -> Plan:
    """Compare what the state has with what the engine has.

    Args:
        checkpoint: the stack's state.
        observed: one look at the engine.
        project: the Compose project name of the stack.
        stack: the stack's name.
    """
    known = {container.id: container for container in checkpoint.containers}
    unknown = [container for container in observed.containers if container.id not in known]
    foreign = tuple(container for container in unknown if container.stack != stack)
    return Plan(
        foreign=foreign,
        orphans=tuple(container for container in unknown if container.stack == stack),
        orphan_networks=tuple(
            network
            for network in observed.networks
            if network.id not in checkpoint.networks and network.project == project and _is_left(network, project, stack, foreign)
        ),
        clear_pending=bool(checkpoint.pending_creates),
        stopped=tuple(
            container
            for container in observed.containers
            if container.id in known and known[container.id].must_run and container.state in _STARTABLE
        ),
        differences=tuple(_differences(checkpoint, observed)),
    )


def _is_left(network: SeenNetwork, project: str, stack: str, foreign: tuple[SeenContainer, ...]) -> bool:
    """Whether a network of the project is ours, or what a Compose project left whose containers are gone: its name is in our way."""
    return network.stack == stack or (network.stack is None and not foreign and network.name == Naming(project, stack).network())


def _differences(checkpoint: Checkpoint, observed: Observed) -> Iterator[Difference]:
    seen = {container.id: container for container in observed.containers}
    for known in checkpoint.containers:
        found = seen.get(known.id)
        label = known.service or known.name
        if found is None:
            yield Difference(label, GONE)
        elif known.must_run and found.state not in _STARTABLE | _LEFT_TO_UP:
            yield Difference(label, f"is {found.state or 'in an unknown state'}")
    networks = {network.id for network in observed.networks}
    yield from (Difference(f"network {name}", GONE) for identifier, name in checkpoint.networks.items() if identifier not in networks)
    yield from (Difference(f"volume {name}", GONE_WITH_DATA) for name in sorted(checkpoint.volumes - observed.volumes))
    now = {tag: identifier for identifier, tags in observed.images.items() for tag in tags}
    for image in checkpoint.images:
        if image.id not in observed.images:
            yield Difference(f"image {image.name or image.id}", GONE)
        elif not image.built and now.get(_as_listed(image.name), image.id) != image.id:
            yield Difference(f"image {image.name}", ANOTHER)


def _as_listed(reference: str) -> str:
    """An image's name as the engine lists it among an image's tags. One with a digest is not among them: it never names another."""
    path = reference.removeprefix("index.docker.io/").removeprefix("docker.io/").removeprefix("library/")
    return path if ":" in path.rpartition("/")[2] else f"{path}:latest"


def detached(checkpoint: Checkpoint, observed: Observed) -> list[SeenContainer]:
    """Running containers of the state that are off the stack's network. No refresh sees it, so they are removed and made again."""
    networks = set(checkpoint.networks) & {network.id for network in observed.networks}
    known = {container.id for container in checkpoint.containers}
    return [
        each for each in observed.containers if networks and each.id in known and each.state == "running" and not each.networks & networks
    ]


@dataclass(frozen=True)
class Locks:
    """The locks on a stack, told apart."""

    live: tuple[Lock, ...]
    stale: tuple[Lock, ...]


def sort_locks(locks: Iterable[Lock], processes: Mapping[int, Process], host: str) -> Locks:
    """Which locks are held by a run that is alive, and which were left behind."""
    stale = [lock for lock in locks if is_stale(lock, processes, host)]
    return Locks(live=tuple(lock for lock in locks if lock not in stale), stale=tuple(stale))
