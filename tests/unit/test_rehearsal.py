"""The picture and the compose file that are made from the specs."""

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import yaml

from stack import compose, diagram
from stack.rehearsal import Topology, rehearse
from stack.vocabulary import ServiceName
from tests.unit.recording import PROJECT, prepare

PASSWORD = "pa$$word"


@pytest.fixture(scope="module")
def topology(tmp_path_factory: pytest.TempPathFactory) -> Topology:
    """The development stack as it comes, with one generated password known."""
    folder = tmp_path_factory.mktemp("rehearsal")
    prepare(folder)
    return rehearse(folder, "dev", {}, {"REDIS_PASSWORD": PASSWORD})


@pytest.fixture(scope="module")
def services(topology: Topology) -> dict[str, Any]:
    document = yaml.safe_load(compose.document(topology))
    assert document["name"] == "whatsapp-dev"
    found: dict[str, Any] = document["services"]
    return found


def test_a_compose_file_has_the_images_that_this_machine_can_have(tmp_path: Path) -> None:
    prepare(tmp_path)
    (tmp_path / ".state").mkdir()
    (tmp_path / ".state" / "machine.env").write_text("IMAGES=local\n")
    images = {part.spec.name: part.spec.image for part in rehearse(tmp_path, "dev", {}, {}).parts}
    assert str(images[ServiceName.REDIS]).startswith("whatsapp-local/redis:")


def test_each_service_needs_what_its_values_wait_for(topology: Topology) -> None:
    assert {str(part.spec.name): {str(need) for need in part.needs} for part in topology.parts if part.needs} == {
        "app": {"db", "evolution-api", "rabbitmq"},
        "evolution-api": {"evolution_postgres", "redis", "rabbitmq", "minio", "audio-converter"},
    }


def test_each_spec_names_exactly_the_services_that_its_values_wait_for(topology: Topology) -> None:
    for part in topology.parts:
        assert set(part.spec.needs) == part.needs, f"{part.spec.name}: a restart would not wait for what it needs"


def test_the_compose_file_has_the_images_ports_and_volumes_of_the_requirements(services: dict[str, Any]) -> None:
    images = {name: service["image"] for name, service in services.items() if name != "app"}
    assert images == {
        "db": "postgres:16",
        "evolution-api": "atendai/evolution-api:v2.2.3",
        "evolution_postgres": "postgres:15",
        "redis": "redis:7",
        "rabbitmq": "rabbitmq:management",
        "minio": "quay.io/minio/minio",
        "audio-converter": "atendai/evolution-audio-converter:latest",
    }
    assert services["app"]["build"]["target"] == "dev"
    assert [port["published"] for port in services["evolution_postgres"]["ports"]] == ["5433"]
    assert {"type": "volume", "source": "minio_data", "target": "/data"} in services["minio"]["volumes"]


def test_the_compose_file_waits_for_health_and_restarts_what_can_not_reconnect(services: dict[str, Any]) -> None:
    assert services["app"]["depends_on"]["db"] == {"condition": "service_healthy"}
    assert services["evolution-api"]["depends_on"]["rabbitmq"] == {"condition": "service_healthy", "restart": True}


def test_the_compose_file_uses_the_volumes_that_the_stack_has(topology: Topology) -> None:
    volumes = yaml.safe_load(compose.document(topology))["volumes"]
    assert {volume["name"] for volume in volumes.values()} >= {"whatsapp-dev_postgres_adk_data", "whatsapp-dev_evolution_instances"}
    assert len(volumes) == 6


def test_a_dollar_sign_survives_composes_interpolation_and_reaches_files_as_it_is(topology: Topology, services: dict[str, Any]) -> None:
    assert "pa$$$$word" in services["evolution-api"]["environment"]["CACHE_REDIS_URI"].replace("%24", "$$")
    assert "$$(cat /run/secrets/redis_password)" in services["redis"]["healthcheck"]["test"][1]
    contents = {str(path): (content, mode) for path, content, mode in compose.files(topology)}
    assert contents["files/redis/run/secrets/redis_password"] == (PASSWORD, 0o444)
    assert contents["files/db/usr/local/bin/reconcile-credentials.sh"][1] == 0o555


def test_the_pictures_show_every_service_arrow_and_volume(topology: Topology) -> None:
    drawn = ET.fromstring(diagram.svg(topology))  # noqa: S314 - our own text
    words = " ".join(text.text or "" for text in drawn.iter("{http://www.w3.org/2000/svg}text"))
    arrows = list(drawn.iter("{http://www.w3.org/2000/svg}line"))
    chart = diagram.mermaid(topology)
    for name in set(ServiceName) - {ServiceName.PGADMIN}:
        assert name in words
        assert f'["{name}' in chart
    assert len(arrows) == chart.count(" --> ") == 8
    assert "postgres_adk_data" in words
    assert "    app --> evolution_api\n" in chart


def test_the_readmes_picture_is_the_one_that_the_program_gives(topology: Topology) -> None:
    made = diagram.svg(topology)
    assert (PROJECT / "docs" / "topology.svg").read_text(encoding="utf-8") == made, (
        "mend: make graph OUT=docs/topology.svg, without settings"
    )
    for name in ("README.md", "README.pt-BR.md"):
        assert "(docs/topology.svg)" in Path(PROJECT / name).read_text(encoding="utf-8")
