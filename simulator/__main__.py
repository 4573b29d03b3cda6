"""Starts the simulator as the real image's entrypoint starts Evolution API: check, migrate, serve; and refuses where that one does."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import socket

import uvicorn
import uvloop

from simulator import VERSION
from simulator.app import make_app
from simulator.database import migrate, parse_uri
from simulator.faults import Cuttable
from simulator.journal import Journal, say
from simulator.runtime import Simulator
from simulator.settings import Server as ServerSettings
from simulator.settings import Settings, StartRefusedError, load

STOPPED = 1
"""Exit status after SIGTERM: the real image's, whose first process is npm (`npm error signal SIGTERM`)."""


class Server(uvicorn.Server):
    """A server that leaves signals to this program, and says when it listens."""

    def __init__(self, config: uvicorn.Config, journal: Journal) -> None:
        super().__init__(config)
        self._journal = journal

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Start to listen."""
        await super().startup(sockets)
        self._journal.log(f"{'HTTPS' if self.config.is_ssl else 'HTTP'} - ON: {self.config.port}")

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


async def migrate_database(settings: Settings) -> None:
    """Do what the entrypoint does before the process proper.

    Raises:
        StartRefusedError: no provider, another one than Postgres, or a database that can't be used.
    """
    provider = settings.database.provider or ""
    if provider not in {"postgresql", "mysql"}:
        raise StartRefusedError(f"Error: Database provider {provider} invalid.")
    if provider == "mysql":
        raise StartRefusedError("The simulator keeps its data in Postgres only: set DATABASE_PROVIDER=postgresql")
    say(f"Deploying migrations for {provider}")
    try:
        await migrate(parse_uri(settings.database.uri))
    except StartRefusedError as error:
        raise StartRefusedError(f"{error}\nMigration failed") from None
    say("Migration succeeded")


def server_for(settings: ServerSettings, simulator: Simulator) -> Server:
    """Make the HTTP or HTTPS server.

    Raises:
        StartRefusedError: the type is neither, or a certificate's file can't be read.
    """
    if settings.type not in {"http", "https"}:
        raise StartRefusedError("TypeError: Cannot read properties of undefined (reading 'listen') (SERVER_TYPE is http or https)")
    certificate: dict[str, str] = {}
    if settings.type == "https":
        for path in (settings.fullchain, settings.privkey):
            if not Path(path).is_file():
                hint = "SERVER_TYPE=https needs SSL_CONF_FULLCHAIN and SSL_CONF_PRIVKEY"
                raise StartRefusedError(f"Error: ENOENT: no such file or directory, open '{path}' ({hint})")
        certificate = {"ssl_certfile": settings.fullchain, "ssl_keyfile": settings.privkey}
    return Server(
        uvicorn.Config(
            make_app(simulator),
            http=Cuttable,
            host="0.0.0.0",  # noqa: S104  (inside a container; the stack publishes it on loopback)
            port=settings.port,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=0,
            **certificate,  # type: ignore[arg-type]
        ),
        simulator.journal.named("SERVER"),
    )


async def serve(settings: Settings) -> None:
    """Run until cancelled; then let go of the services, as far as that takes no time."""
    journal = Journal(settings.log, "SERVER")
    await migrate_database(settings)
    simulator = await Simulator.start(settings, journal)
    server = server_for(settings.server, simulator)
    for name in settings.without_effect:
        journal.warn(f"{name}=true has no effect in the simulator")
    try:
        await server.serve()
    finally:
        await simulator.stop()


async def main() -> int:
    """Run until a signal comes, or until the start is refused. Gives the exit status."""
    say(f"*** Evolution API simulator: stands in for Evolution API {VERSION}; nothing sent here reaches WhatsApp ***")
    work = asyncio.create_task(serve(load(os.environ)))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, work.cancel)
    try:
        await work
    except asyncio.CancelledError:
        return STOPPED
    except StartRefusedError as error:
        say(str(error))
    return 1


if __name__ == "__main__":
    status = uvloop.run(main())
    # The interpreter would take half a second to tidy up before it ends.
    os._exit(status)
