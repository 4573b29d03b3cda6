"""What the application says of a database's errors, by what the driver raises."""

import pytest
from asyncpg import exceptions as postgres
from pydantic import SecretStr
from sqlalchemy import exc

from src.database import DatabaseError, explain, is_worth_waiting_for
from src.faults import State
from src.settings import Settings

SETTINGS = Settings(evolution_api_key=SecretStr("key"), database_url=SecretStr("postgresql://app:secret@db:5432/app"))


def wrapped(cause: Exception) -> Exception:
    """As SQLAlchemy hands it on."""
    error = exc.InternalError("select 1", {}, cause)
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "cause",
    [
        postgres.AdminShutdownError("terminating connection due to administrator command"),
        postgres.CannotConnectNowError("the database system is starting up"),
        postgres.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        postgres.TooManyConnectionsError("sorry, too many clients already"),
        postgres.InternalClientError("cannot switch to state 12; another operation (2) is in progress"),
        postgres.InterfaceError("connection is closed"),
        ConnectionResetError("reset"),
    ],
)
def test_a_server_that_comes_or_goes_is_unreachable_and_no_mistake_of_the_application(cause: Exception) -> None:
    for error in (cause, wrapped(cause)):
        assert isinstance(error, DatabaseError)
        fault = explain(error, SETTINGS)
        assert fault.state is State.UNREACHABLE, f"{error!r} would be answered with 500"
        assert "secret" not in f"{fault.problem} {fault.mend}"


@pytest.mark.parametrize(
    "cause",
    [
        TimeoutError(),
        postgres.LockNotAvailableError("canceling statement due to lock timeout"),
        postgres.IdleInTransactionSessionTimeoutError("terminating connection due to idle-in-transaction timeout"),
    ],
)
def test_a_server_that_hangs_or_a_lock_that_is_kept_is_a_timeout(cause: Exception) -> None:
    for error in (cause, wrapped(cause)):
        assert isinstance(error, DatabaseError)
        assert explain(error, SETTINGS).state is State.TIMEOUT, f"{error!r} would be answered with 500"


def test_no_free_connection_in_time_is_a_timeout() -> None:
    error = exc.TimeoutError("QueuePool limit of size 24 overflow 0 reached, connection timed out, timeout 5.00")
    assert isinstance(error, DatabaseError)
    assert explain(error, SETTINGS).state is State.TIMEOUT


def test_a_connection_that_is_broken_off_while_the_server_starts_is_worth_waiting_for() -> None:
    assert is_worth_waiting_for(postgres.ConnectionDoesNotExistError("connection was closed in the middle of operation"))
    assert not is_worth_waiting_for(postgres.InvalidPasswordError("no"))


def test_a_mistake_in_a_statement_stays_one() -> None:
    assert explain(wrapped(postgres.UndefinedColumnError("column x does not exist")), SETTINGS).state is State.UNEXPECTED_ANSWER
