"""Other names of users and databases, while there is data."""

import httpx
import pytest
from minio.error import S3Error

from tests.e2e.data import Clients, Data, assert_events_are_published, succeeded
from tests.e2e.environment import Stack

_NEW = "renamed"


def test_other_users_of_rabbitmq_and_minio_take_effect_the_former_ones_are_gone_and_users_made_by_hand_stay(stack: Stack) -> None:
    old = Clients(stack, stack.credentials())
    new = Clients(stack, old.credentials, user=_NEW)
    data = Data()
    data.write(old)
    succeeded(old.rabbitmq("PUT", "/users/byhand", password="theirOwnPassword", tags="monitoring"))
    before = stack.identities()
    with stack.with_settings(RABBITMQ_DEFAULT_USER=_NEW, MINIO_ROOT_USER=_NEW):
        stack.up()
        after = stack.identities()
        assert {service for service in after if after[service] != before[service]} == {"rabbitmq", "minio", "evolution-api", "app"}
        data.assert_kept(new)
        stack.assert_works()
        assert_events_are_published(new)
        assert old.rabbitmq("GET", "/whoami").status_code == httpx.codes.UNAUTHORIZED, "RabbitMQ still knows the former user"
        with pytest.raises(S3Error, match="InvalidAccessKeyId"):
            old.minio().list_buckets()
        users = {each["name"] for each in succeeded(new.rabbitmq("GET", "/users")).json()}
        assert users == {_NEW, "byhand"}, "not the users that there should be"
    succeeded(new.rabbitmq("DELETE", "/users/byhand"))
    stack.up()
    data.assert_kept(old)


def test_other_names_of_a_database_are_refused_before_anything_is_touched(stack: Stack) -> None:
    before = stack.picture()
    with stack.with_settings(POSTGRES_DB=_NEW, EVOLUTION_POSTGRES_USER=_NEW, REDIS_PASSWORD="changedBesideIt"):
        refused = stack.fails()
        refused.assert_tells(
            "nothing was changed",
            f"POSTGRES_DB is {_NEW} now, and was app",
            f"EVOLUTION_POSTGRES_USER is {_NEW} now, and was evolution",
            f"make rename SERVICE=db STACK={stack.name}",
            "EVOLUTION_POSTGRES_USER=evolution",
        )
        refused.assert_soon()
    assert stack.picture() == before
    assert "nothing to change" in stack.up().output


def test_another_name_of_the_project_is_refused_while_the_stack_is_there_under_its_own(stack: Stack) -> None:
    before = stack.picture()
    with stack.with_settings(PROJECT_NAME=_NEW):
        refused = stack.fails()
        refused.assert_tells(
            "nothing was changed", f"this stack is on the engine as {stack.project}", f"PROJECT_NAME={stack.project}", "make backup"
        )
        refused.assert_soon()
    assert stack.picture() == before


def test_a_database_that_is_there_already_is_no_way_around(stack: Stack) -> None:
    """Every cluster has a database `postgres`: an application there would find nothing."""
    with stack.with_settings(POSTGRES_DB="postgres"):
        stack.fails().assert_tells("POSTGRES_DB is postgres now, and was app")
        refused = stack.make("rename", SERVICE="db", YES="1")
        assert refused.code != 0, refused.told
        refused.assert_tells("db has another database postgres already; nothing was changed")
        down = stack.make("down")
        assert down.code == 0, down.told
        stack.fails().assert_tells('the volume\'s data is that of the user "app" in the database "app"', "make rename SERVICE=db")
    stack.up()


def test_users_and_databases_are_renamed_with_their_data_and_back(stack: Stack) -> None:
    old = Clients(stack, stack.credentials())
    data = Data()
    data.write(old)
    new = Clients(stack, old.credentials, databases={"POSTGRES": _NEW, "EVOLUTION_POSTGRES": _NEW})
    names = ("POSTGRES_USER", "POSTGRES_DB", "EVOLUTION_POSTGRES_USER", "EVOLUTION_POSTGRES_DB")
    with stack.with_settings(**dict.fromkeys(names, _NEW)):
        asked = stack.make("rename")
        assert asked.code != 0, asked.told
        asked.assert_tells(f"db: user app becomes {_NEW}, database app becomes {_NEW}", "Nothing was renamed")
        renamed = stack.make("rename", YES="1")
        assert renamed.code == 0, renamed.told
        data.assert_kept(new)
        stack.assert_works()
        assert new.sql("POSTGRES", "SELECT count(*) FROM pg_roles WHERE rolname !~ '^pg_'") == "1", "a role is left over"
    back = stack.make("rename", YES="1")
    assert back.code == 0, back.told
    data.assert_kept(old)
    stack.assert_works()
