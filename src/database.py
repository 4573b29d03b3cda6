"""The application's own database: the connection to it, and its errors in words."""

from asyncpg import exceptions as postgres
from sqlalchemy import URL, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from src.faults import Fault, State
from src.settings import Settings

CONNECT_TIMEOUT_SECONDS = 2.0

DatabaseError = (SQLAlchemyError, postgres.PostgresError, postgres.InterfaceError, postgres.InternalClientError, OSError, TimeoutError)
"""All that using a connection may raise: SQLAlchemy wraps the driver's errors only once a connection stands."""
_GOING_OR_COMING = (
    postgres.PostgresConnectionError,
    postgres.OperatorInterventionError,  # among them: the server shuts down, or takes no connections yet
    postgres.TooManyConnectionsError,
    postgres.InterfaceError,
    postgres.InternalClientError,  # the driver's, when the server goes away in the midst of an answer
)


def create_engine(settings: Settings) -> AsyncEngine:
    """Make the engine, and with it the pool of connections; nothing is connected yet."""
    return create_async_engine(
        _url(settings),
        pool_pre_ping=True,  # the database may have been restarted since a connection was used last
        connect_args={"timeout": CONNECT_TIMEOUT_SECONDS, "server_settings": {"application_name": "app"}},
    )


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
    if isinstance(cause, TimeoutError):
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


def is_missing_table(error: BaseException) -> bool:
    """Whether a statement failed because a table that it names is not there."""
    return isinstance(_driver_error(error), postgres.UndefinedTableError)


def is_worth_waiting_for(error: BaseException) -> bool:
    """Whether the same attempt may succeed a little later, with nothing changed: the server is absent, busy or starting."""
    return isinstance(_driver_error(error), (OSError, TimeoutError, postgres.CannotConnectNowError, postgres.TooManyConnectionsError))


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
