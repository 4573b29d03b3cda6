"""`upgrade-postgres`: the data of a database, moved to another major version of Postgres.

The new version's own tools copy from the running old server into a new volume, which is compared with the old one. Only then two settings
name the new image and the new volume, and an `up` applies them. Whatever interrupts it before that leaves the old version serving; after
it, an `up` completes it. The old volume is never written to, and is kept.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from docker.errors import APIError, ImageNotFound

from ops import engine, heal
from ops.backup import marker
from ops.backup.stopping import held_back
from ops.console import ask, count, say
from ops.containers import database, of_stack
from ops.errors import OperatorError
from ops.local_images import build
from ops.postgres_copy import Copy
from ops.pulumi import run_quietly
from ops.session import open_session, settings_file, stack_settings, write_settings
from ops.tasks import with_setting
from ops.up import up
from stack.images import LOCAL_PREFIX, postgres_built_here
from stack.naming import Naming
from stack.services.postgres_names import PREFIXES, USERS, VOLUMES
from stack.services.postgres_versions import data_version, layout, reference_version
from stack.settings_table import ImageSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from docker import DockerClient

    from ops.engine import SeenContainer
    from ops.session import Session
    from stack.settings import Settings
    from stack.vocabulary import ServiceName


def upgrade_postgres(stack: str, service: str, image: str, agreed: bool) -> None:
    """Move the data of a database to the major version of `image`.

    Args:
        stack: the stack, which is up.
        service: db or evolution_postgres.
        image: of a newer major version.
        agreed: don't ask.

    Raises:
        OperatorError: it can't be done, was not agreed to, or failed; the stack is as it was.
    """
    name = database(service)
    session = open_session(stack)
    client = engine.connect(session.variables)
    settings = stack_settings(session.folder, stack)
    old = of_stack(client, stack, name)[0]
    marker.guard(client, old.project, stack)
    fetched = _fetched(client, session, settings, image)
    have, wanted = _check_versions(client, old, fetched)
    naming, volume = Naming(settings.project, stack), VOLUMES[name]
    target = f"{volume}_{wanted}"
    copy = Copy(client, old, fetched, layout(image), f"{settings.project}_{target}", naming.volume_labels(volume))
    say(f"{name}: PostgreSQL {have} -> {wanted} ({image}); its data goes into the new volume {copy.volume}.")
    say(f"Meanwhile {USERS[name]} is stopped. The old volume is kept.")
    if not agreed:
        ask("Nothing was changed.")
    begun = time.monotonic()
    with marker.exclusive(stack, "upgrade"):
        heal.free_the_stack(session)
        copy.clear()
        copy.check_room()
        users = of_stack(client, stack, USERS[name])
        with _stopped(client, users, lambda: _flipped(session, name, target)):
            tables = copy.make()
            _check_away(client, users)
            say(f"copied and compared: {count(tables, 'table')} alike, {time.monotonic() - begun:.1f} s")
            _flip(session, name, image, target)
    up(stack)
    kept = settings.volume_names[volume]
    say(f"{name} is PostgreSQL {wanted} now. The old data is kept until `docker volume rm {settings.project}_{kept}`.", "green")


def _fetched(client: DockerClient, session: Session, settings: Settings, image: str) -> str:
    """The image to run, which is fetched or built when it isn't here."""
    local = postgres_built_here(image) if settings.images is ImageSource.LOCAL else None
    reference = f"{LOCAL_PREFIX}/{local}" if local else image
    try:
        client.images.get(reference)
    except ImageNotFound:
        if local:
            say(f"building {image} from packages")
            build(session, settings, [local])
        else:
            _fetch(client, image)
    return reference


def _fetch(client: DockerClient, image: str) -> None:
    say(f"fetching {image}")
    try:
        client.images.pull(image)
    except APIError as error:
        raise OperatorError(f"{image} can't be had.", str(error.explanation or error), "Correct IMAGE.") from error


def _check_versions(client: DockerClient, old: SeenContainer, image: str) -> tuple[int, int]:
    """The versions of the data and of the image, which is a newer one."""
    have, wanted = data_version(client.api, client.api.inspect_container(old.id)), reference_version(client.api, image)
    if have is None or old.state != "running":
        raise OperatorError(f"{old.service} must run to be upgraded.", mend="Bring the stack up with the image that it had.")
    if wanted is None or wanted <= have:
        raise OperatorError(
            f"{image} is {f'PostgreSQL {wanted}' if wanted else 'no Postgres'}, and the data is of PostgreSQL {have}.",
            mend="Name an image of a newer major version; a minor one is only a setting and `make up`.",
        )
    return have, wanted


@contextmanager
def _stopped(client: DockerClient, users: list[SeenContainer], flipped: Callable[[], bool]) -> Iterator[None]:
    """The containers that write to the database, stopped for a while.

    They are started again when it fails, or is stopped: unless `flipped` says that they would write to data that is left.
    """
    running = [user for user in users if user.state == "running"]
    try:
        for user in users:
            client.api.stop(user.id)
        yield
    except BaseException:
        with held_back("starting again what was stopped"):
            if not flipped():
                for user in running:
                    client.api.stop(user.id)  # one that is being stopped would end behind its start
                engine.start_containers(client, running)
        raise


def _check_away(client: DockerClient, users: list[SeenContainer]) -> None:
    """See that nobody, such as another `up`, started who may have written what is not in the copy."""
    if back := [user.name for user in users if client.api.inspect_container(user.id)["State"]["Running"]]:
        raise OperatorError(
            f"{', '.join(back)} was started while the data was copied: the copy may lack something.", mend="Run this again."
        )


def _flipped(session: Session, service: ServiceName, volume: str) -> bool:
    """Whether the settings name the new volume."""
    file = settings_file(session.folder, session.stack)
    return file.is_file() and f"{PREFIXES[service]}_VOLUME={volume}" in file.read_text(encoding="utf-8").splitlines()


def _flip(session: Session, service: ServiceName, image: str, volume: str) -> None:
    """Name the new image and the new volume, in one write; from here on `make up` is enough."""
    # PROTECT_VOLUMES guards against losing data; this volume is only let go of. An `up` protects all again.
    run_quietly(session, ["state", "unprotect", "--all", "--yes"])
    file = settings_file(session.folder, session.stack)
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    for setting, value in ((f"{PREFIXES[service]}_IMAGE", image), (f"{PREFIXES[service]}_VOLUME", volume)):
        text = with_setting(text, setting, value)
    write_settings(file, text)
    say(f"{PREFIXES[service]}_IMAGE={image} and {PREFIXES[service]}_VOLUME={volume} are now in {file.name}")
