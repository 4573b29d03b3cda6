"""What tells the major version of a Postgres image before it is fetched."""

from unittest.mock import Mock

import pytest
from docker.errors import NotFound

from stack.services.postgres_versions import layout, reference_version


@pytest.mark.parametrize(
    ("reference", "version"),
    [
        ("postgres:16", 16),
        ("postgres:16.4-bookworm", 16),
        ("localhost:5000/postgres:17", 17),
        ("localhost:5000/team/postgres:v15.2", 15),
        (f"postgres:16@sha256:{'1' * 64}", 16),
        (f"postgres@sha256:{'1' * 64}", None),
        (f"localhost:5000/postgres@sha256:{'47' * 32}", None),
        ("localhost:5000/postgres", None),
        ("postgres", None),
        ("postgres:latest", None),
        ("postgres:9.6", None),
        ("pgvector/pgvector:pg17", 17),
        ("localhost:5000/postgres:20260101", None),
    ],
)
def test_the_tag_tells_it_and_neither_a_registrys_port_nor_a_digest_does(reference: str, version: int | None) -> None:
    engine = Mock()
    engine.inspect_image.side_effect = NotFound("it is not here yet")
    assert reference_version(engine, reference) == version


def test_an_image_that_is_here_says_it_itself() -> None:
    engine = Mock()
    engine.inspect_image.return_value = {"Config": {"Env": ["PATH=/bin", "PG_MAJOR=17"]}}
    assert reference_version(engine, "postgres:16") == 17


@pytest.mark.parametrize(
    ("reference", "mount", "data"),
    [
        ("postgres:15", "/var/lib/postgresql/data", "/var/lib/postgresql/data"),
        ("postgres:17.2-bookworm", "/var/lib/postgresql/data", "/var/lib/postgresql/data"),
        ("postgres@sha256:0", "/var/lib/postgresql/data", "/var/lib/postgresql/data"),
        ("postgres:18", "/var/lib/postgresql", "/var/lib/postgresql/18/docker"),
        ("localhost:5000/postgres:19.1", "/var/lib/postgresql", "/var/lib/postgresql/19/docker"),
    ],
)
def test_the_data_lies_where_the_official_image_of_that_version_can_write_it(reference: str, mount: str, data: str) -> None:
    found = layout(reference)
    assert (found.mount, found.data) == (mount, data)
