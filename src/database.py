"""The application's own database: the connection to it, and its errors in words."""

import time
from typing import Any

from asyncpg import exceptions as postgres
from sqlalchemy import URL, ExceptionContext, event, exc, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from src.faults import Fault, State
from src.settings import Settings

CONNECT_TIMEOUT_SECONDS = 2.0
ANSWER_TIMEOUT_SECONDS = 20.0
"""The most that a statement may take. A server that hangs is noticed by it: nothing else tells of one."""
POOL_TIMEOUT_SECONDS = 5.0
"""The most that is waited for a connection to be free: when none is for so long, the server is too slow or hangs."""
TRUSTED_SECONDS = 5.0
"""A connection that was idle for longer is asked whether the server is there still, for it may have gone without a word."""
_PING_TIMEOUT_SECONDS = 2.0
_IDLE_SINCE = "idle since"

_KEEPALIVES = {"tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3"}
"""A client that is gone without a word is noticed by the server within 25 s, and what it has locked is free again."""
_PATIENCE = {"lock_timeout": "10s", "idle_in_transaction_session_timeout": "30s"}
"""How long a lock is waited for; and how long a process that stands still in a transaction may keep its locks from the others."""

DatabaseError = (exc.SQLAlchemyError, postgres.PostgresError, postgres.InterfaceError, postgres.InternalClientError, OSError, TimeoutError)
"""All that using a connection may raise: SQLAlchemy wraps the driver's errors only once a connection stands."""
_TOO_LATE = (
    TimeoutError,
    exc.TimeoutError,  # no connection was free in time
    postgres.LockNotAvailableError,
    postgres.IdleInTransactionSessionTimeoutError,
)
_GOING_OR_COMING = (
    postgres.PostgresConnectionError,
    postgres.OperatorInterventionError,  # among them: the server shuts down, or takes no connections yet
    postgres.TooManyConnectionsError,
    postgres.InterfaceError,
    postgres.InternalClientError,  # the driver's, when the server goes away in the midst of an answer
)
_WORTH_WAITING_FOR = (
    OSError,
    TimeoutError,
    postgres.PostgresConnectionError,  # among them: a connection that is broken off, as when the server starts in two steps
    postgres.CannotConnectNowError,
    postgres.TooManyConnectionsError,
)


def create_engine(settings: Settings) -> AsyncEngine:
    """Make the engine that serves, and with it the pool of connections; nothing is connected yet.

    Whatever becomes of the server or of another process, each use of it ends within a time that is bounded by the constants above.
    """
    engine = create_async_engine(
        _url(settings),
        pool_size=settings.database_connections,
        max_overflow=0,
        pool_use_lifo=True,  # few connections do most of the work, with all their statements prepared
        pool_timeout=POOL_TIMEOUT_SECONDS,
        hide_parameters=True,  # they are people's messages, and an error's text goes to the log
        connect_args=_connect_args(_PATIENCE, command_timeout=ANSWER_TIMEOUT_SECONDS),
    )
    event.listen(engine.sync_engine, "checkin", _note_idle)
    event.listen(engine.sync_engine, "checkout", _see_that_it_lives)
    event.listen(engine.sync_engine, "handle_error", _give_up_what_hangs)
    return engine


def create_patient_engine(settings: Settings) -> AsyncEngine:
    """Make an engine for migrations, whose statements take as long as they take."""
    return create_async_engine(_url(settings), hide_parameters=True, connect_args=_connect_args({}))


def _connect_args(server_settings: dict[str, str], **more: object) -> dict[str, object]:
    return {"timeout": CONNECT_TIMEOUT_SECONDS, "server_settings": {"application_name": "app", **_KEEPALIVES, **server_settings}, **more}


def _note_idle(_: Any, entry: ConnectionPoolEntry) -> None:  # noqa: ANN401  # the driver's connection
    entry.info[_IDLE_SINCE] = time.monotonic()


def _see_that_it_lives(connection: Any, entry: ConnectionPoolEntry, _: object) -> None:  # noqa: ANN401  # the driver's connection
    """Have the pool make connections anew when the server has been restarted, or gone, since this one was used last."""
    if connection.driver_connection.is_closed():
        raise exc.InvalidatePoolError
    idle_since = entry.info.pop(_IDLE_SINCE, None)
    if idle_since is None or time.monotonic() - idle_since < TRUSTED_SECONDS:
        return
    try:
        connection.run_async(lambda driver: driver.execute("SELECT", timeout=_PING_TIMEOUT_SECONDS))
    except DatabaseError as error:
        raise exc.InvalidatePoolError from error


def _give_up_what_hangs(context: ExceptionContext) -> None:
    """Drop a connection that did not answer in time: to give it back in order would take as long again."""
    if isinstance(context.original_exception, TimeoutError):
        context.is_disconnect = True


def _url(settings: Settings) -> URL:
    return make_url(settings.database_url.get_secret_value()).set(drivername="postgresql+asyncpg")


def explain(error: BaseException, settings: Settings) -> Fault:
    """Say in words why the database can't be used, without the password."""
    url = _url(settings)
    where = f"{url.host}:{url.port or 5432}"
    cause = _driver_error(error)
    if isinstance(cause, (postgres.InvalidPasswordError, postgres.InvalidAuthorizationSpecificationError)):
        return Fault(
            State.CREDENTIALS_REFUSED,
            f"The database at {where} refused the user {url.username!r} or its password.",
            "give the application the password that the database has; both take it from POSTGRES_PASSWORD when the stack is brought up.",
        )
    if isinstance(cause, postgres.InvalidCatalogNameError):
        return Fault(
            State.UNREACHABLE,
            f"The server at {where} has no database {url.database!r}.",
            "create it, or set POSTGRES_DB to the database that the volume holds and bring the stack up.",
        )
    if isinstance(cause, _TOO_LATE):
        return Fault(
            State.TIMEOUT,
            f"The database at {where} did not answer in time.",
            "look at the log and the load of the service db; restart it when it hangs.",
        )
    if isinstance(cause, OSError):
        return Fault(
            State.UNREACHABLE,
            f"The database can't be reached at {where}: {cause.strerror or cause}.",
            "start the service db, and look at its log.",
        )
    if isinstance(cause, _GOING_OR_COMING):
        return Fault(
            State.UNREACHABLE,
            f"The database at {where} is starting or stopping, or has broken off the connection: {_first_line(cause)}",
            "try again; when it stays so, look at the log of the service db.",
        )
    return Fault(
        State.UNEXPECTED_ANSWER,
        f"The database at {where} answered with an error: {_first_line(cause)}",
        "look at the log of the service db.",
    )


def is_lock_refused(error: BaseException) -> bool:
    """Whether a statement gave up because somebody else kept a lock for longer than `lock_timeout`."""
    return isinstance(_driver_error(error), postgres.LockNotAvailableError)


def is_missing_table(error: BaseException) -> bool:
    """Whether a statement failed because a table that it names is not there."""
    return isinstance(_driver_error(error), postgres.UndefinedTableError)


def is_worth_waiting_for(error: BaseException) -> bool:
    """Whether the same attempt may succeed a little later, with nothing changed: the server is absent, busy or starting."""
    return isinstance(_driver_error(error), _WORTH_WAITING_FOR)


def _driver_error(error: BaseException) -> BaseException:
    """Return the first error of the driver or the network among the causes; SQLAlchemy's adapters stand before it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, (postgres.PostgresError, postgres.InterfaceError, postgres.InternalClientError, OSError)):
            return cause
        cause = cause.__cause__
    return error


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
