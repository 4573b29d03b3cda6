"""Every requirement that can be seen without an engine, as an assertion over what the program declares."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from simulator.environment import EVENT_KEYS, IMAGE_ENV, event_variable
from tests.unit.recording import PROJECT, Recording, Resource, record

SERVICES = {"app", "db", "evolution-api", "evolution_postgres", "redis", "rabbitmq", "minio", "audio-converter"}
VOLUMES = {"postgres_adk_data", "postgres_evo_data", "redis_data", "rabbitmq_data", "minio_data", "evolution_instances"}


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """The development stack as it comes."""
    return record(tmp_path_factory.mktemp("dev"))


@pytest.fixture(scope="module")
def prod(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """The production stack with its own configuration."""
    configuration = yaml.safe_load((PROJECT / "Pulumi.prod.yaml").read_text())["config"]
    plain = {name.removeprefix("whatsapp:"): value for name, value in configuration.items()}
    return record(tmp_path_factory.mktemp("prod"), stack="prod", env="", configuration=plain)


@pytest.fixture
def recorded(tmp_path: Path) -> Callable[..., Recording]:
    """Record a stack with settings of the test's own."""
    return lambda **arguments: record(tmp_path, **arguments)


def test_there_are_eight_containers_one_for_each_service(dev: Recording) -> None:
    names = sorted(each.labels["com.docker.compose.service"] for each in dev.of_type("Container"))
    assert names == sorted(SERVICES)


def test_images_are_exactly_those_of_the_requirements(dev: Recording) -> None:
    assert dev.image_names == {
        "app": "whatsapp-dev-app:*",
        "db": "postgres:16",
        "evolution-api": "atendai/evolution-api:v2.2.3",
        "evolution_postgres": "postgres:15",
        "redis": "redis:7",
        "rabbitmq": "rabbitmq:management",
        "minio": "quay.io/minio/minio",
        "audio-converter": "atendai/evolution-audio-converter:latest",
    }


def test_the_six_volumes_are_kept_by_destroy_and_mounted_where_the_data_lies(dev: Recording) -> None:
    assert {each.inputs["name"] for each in dev.of_type("Volume")} == {f"whatsapp-dev_{name}" for name in VOLUMES}
    assert all(each.is_kept for each in dev.of_type("Volume"))
    assert dev.container("db").mounts == {"/var/lib/postgresql/data": "whatsapp-dev_postgres_adk_data"}
    assert dev.container("evolution_postgres").mounts == {"/var/lib/postgresql/data": "whatsapp-dev_postgres_evo_data"}
    assert dev.container("redis").mounts == {"/data": "whatsapp-dev_redis_data"}
    assert dev.container("rabbitmq").mounts == {"/var/lib/rabbitmq": "whatsapp-dev_rabbitmq_data"}
    assert dev.container("minio").mounts == {"/data": "whatsapp-dev_minio_data"}
    assert dev.container("evolution-api").mounts == {"/evolution/instances": "whatsapp-dev_evolution_instances"}


def test_all_join_one_bridge_network_by_id_under_their_service_names(dev: Recording) -> None:
    (network,) = dev.of_type("Network")
    assert (network.inputs["name"], network.inputs["driver"]) == ("whatsapp-dev_app-network", "bridge")
    for container in dev.of_type("Container"):
        (joined,) = container.inputs["networksAdvanced"]
        service = container.labels["com.docker.compose.service"]
        assert joined["name"] == "id-of-app-network", f"{service} must join by id, or it stays detached from a network made anew"
        assert service in joined["aliases"]
        assert container.inputs["hostname"] == service


def test_ports_are_those_of_the_requirements_on_loopback_only(dev: Recording) -> None:
    assert {each.labels["com.docker.compose.service"]: each.ports for each in dev.of_type("Container") if each.ports} == {
        "app": {8000: 8000},
        "db": {5432: 5432},
        "evolution-api": {8080: 8080},
        "evolution_postgres": {5432: 5433},
        "rabbitmq": {15672: 15672},
        "minio": {9000: 9000, 9001: 9001},
    }
    addresses = {port["ip"] for each in dev.of_type("Container") for port in each.inputs.get("ports", [])}
    assert addresses == {"127.0.0.1"}


def test_evolution_is_wired_to_its_four_stores_and_the_converter(dev: Recording) -> None:
    environment = dev.container("evolution-api").environment
    expected = {
        "DATABASE_PROVIDER": "postgresql",
        "DATABASE_CONNECTION_URI": (
            "postgresql://evolution:generated-evolution-postgres-password@evolution_postgres:5432/evolution?schema=public"
        ),
        "CACHE_REDIS_ENABLED": "true",
        "CACHE_REDIS_URI": "redis://:generated-redis-password@redis:6379/6",
        "RABBITMQ_ENABLED": "true",
        "RABBITMQ_URI": "amqp://whatsapp:generated-rabbitmq-default-pass@rabbitmq:5672/%2F?frameMax=131072",
        "S3_ENABLED": "true",
        "S3_ENDPOINT": "minio",
        "S3_PORT": "9000",
        "S3_USE_SSL": "false",
        "S3_ACCESS_KEY": "whatsapp",
        "S3_SECRET_KEY": "generated-minio-root-password",
        "API_AUDIO_CONVERTER": "http://audio-converter:4040/process-audio",
        "API_AUDIO_CONVERTER_KEY": "generated-audio-converter-api-key",
        "AUTHENTICATION_API_KEY": "generated-authentication-api-key",
        "TELEMETRY_ENABLED": "false",
        "RABBITMQ_EVENTS_MESSAGES_UPSERT": "true",
        "RABBITMQ_EVENTS_PRESENCE_UPDATE": "false",
    }
    assert {name: environment.get(name) for name in expected} == expected


def test_evolution_gets_no_variable_that_its_2_2_3_does_not_read(dev: Recording) -> None:
    never_read = {"DATABASE_URL", "REDIS_URI", "REDIS_ENABLED", "AUDIO_CONVERTER_URL", "S3_URL", "S3_BUCKET_NAME", "CACHE_LOCAL_TTL"}
    never_read |= {"DATABASE_ENABLED", "AUTHENTICATION_TYPE", "RABBITMQ_EVENTS_GROUP_UPDATE", "RABBITMQ_EVENTS_REMOVE_INSTANCE"}
    environment = dev.container("evolution-api").environment
    assert not never_read & environment.keys()
    events = {event_variable(prefix, key) for prefix in ("RABBITMQ", "WEBHOOK") for key in EVENT_KEYS}
    others = {"API_AUDIO_CONVERTER", "API_AUDIO_CONVERTER_KEY", "DATABASE_PROVIDER", "LANGUAGE", "TELEMETRY_ENABLED"}
    of_the_image = {"TZ", "BASH_ENV"}  # read by its C library, and by the shell that starts it
    assert environment.keys() <= IMAGE_ENV.keys() | events | others | of_the_image


def test_the_app_talks_to_db_and_evolution_with_the_one_generated_key(dev: Recording) -> None:
    app = dev.container("app")
    assert app.environment["EVOLUTION_API_URL"] == "http://evolution-api:8080"
    assert app.files["/run/secrets/database_url"] == "postgresql://app:generated-postgres-password@db:5432/app"
    assert app.files["/run/secrets/evolution_api_key"] == "generated-authentication-api-key"


def test_the_app_hears_events_through_the_exchange_that_evolution_publishes_to(recorded: Callable[..., Recording]) -> None:
    stack = recorded(env="RABBITMQ_EXCHANGE_NAME=another\n")
    app, evolution = stack.container("app"), stack.container("evolution-api")
    assert app.files["/run/secrets/rabbitmq_url"] == "amqp://whatsapp:generated-rabbitmq-default-pass@rabbitmq:5672/%2F"
    assert app.environment["RABBITMQ_EXCHANGE"] == evolution.environment["RABBITMQ_EXCHANGE_NAME"] == "another"


def test_callers_need_a_key_in_production_and_in_development_only_when_one_is_set(
    dev: Recording, prod: Recording, recorded: Callable[..., Recording]
) -> None:
    path = "/run/secrets/app_api_key"
    assert path not in dev.container("app").files
    assert prod.container("app").files[path] == "generated-app-api-key"
    assert recorded(env="APP_API_KEY=mine\n").container("app").files[path] == "mine"


def test_keys_that_are_both_given_stay_two(recorded: Callable[..., Recording]) -> None:
    stack = recorded(env="AUTHENTICATION_API_KEY=accepted\nEVOLUTION_API_KEY=sent\n")
    assert stack.container("evolution-api").environment["AUTHENTICATION_API_KEY"] == "accepted"
    assert stack.container("app").files["/run/secrets/evolution_api_key"] == "sent"


def test_one_given_key_serves_both(recorded: Callable[..., Recording]) -> None:
    stack = recorded(env="EVOLUTION_API_KEY=only\n")
    assert stack.container("evolution-api").environment["AUTHENTICATION_API_KEY"] == "only"
    assert stack.container("app").files["/run/secrets/evolution_api_key"] == "only"


def test_secrets_are_encrypted_and_stand_in_no_plain_property(dev: Recording) -> None:
    for container in dev.of_type("Container"):
        for name, value in container.inputs.items():
            if "generated-" in str(value):
                assert name in container.secrets, f"{container.name}: {name} would show a secret in previews and state"
                assert name in {"envs", "uploads"}, f"{container.name}: {name} is no place for a secret"


def test_the_applications_own_variables_are_secret_wherever_they_come_from(recorded: Callable[..., Recording]) -> None:
    app = recorded(env="APP_ENV_FEATURE=on\n", configuration={"APP_ENV_TOKEN": "hunter2"}).container("app")
    assert app.environment.items() >= {"FEATURE": "on", "TOKEN": "hunter2"}.items()
    assert "envs" in app.secrets, "a preview and the state would show them"


@pytest.mark.parametrize(
    ("setting", "value", "places"),
    [
        ("WEBHOOK_GLOBAL_URL", "http://hooks.example.com/hunter2", {("evolution-api", "envs")}),
        ("MINIO_ROOT_USER", "hunter2", {("minio", "envs"), ("evolution-api", "envs")}),
        (
            "POSTGRES_USER",
            "hunter2",
            {("db", "envs"), ("db", "healthcheck"), ("app", "uploads"), ("pgadmin", "uploads")},
        ),
        ("PGADMIN_DEFAULT_EMAIL", "hunter2@example.com", {("pgadmin", "envs")}),
    ],
)
def test_what_the_configuration_keeps_encrypted_stays_so(
    recorded: Callable[..., Recording], setting: str, value: str, places: set[tuple[str, str]]
) -> None:
    stack = recorded(configuration={setting: value, "PGADMIN_ENABLED": "true"}, encrypted=[setting])
    showing = [(each, name) for each in stack.resources for name, content in each.inputs.items() if value in str(content)]
    assert {(each.name, name) for each, name in showing} == places, "the test looks for the value where it no longer is"
    assert [(each.name, name) for each, name in showing if name not in each.secrets] == []
    assert "envs" not in stack.container("redis").secrets, "what has nothing to hide still shows in a preview"


def test_an_encrypted_value_that_the_settings_file_replaces_hides_nothing(recorded: Callable[..., Recording]) -> None:
    stack = recorded(env="MINIO_ROOT_USER=plain\n", configuration={"MINIO_ROOT_USER": "hunter2"}, encrypted=["MINIO_ROOT_USER"])
    assert "envs" not in stack.container("minio").secrets


def test_only_images_that_read_no_files_get_secrets_in_their_environment(dev: Recording) -> None:
    with_secrets = {each.name for each in dev.of_type("Container") if "generated-" in str(each.inputs["envs"])}
    assert with_secrets == {"evolution-api", "audio-converter"}


def test_every_container_is_probed_as_its_image_allows(dev: Recording) -> None:
    probes = {each.name: " ".join(each.inputs["healthcheck"]["tests"]) for each in dev.of_type("Container")}
    assert probes.keys() == SERVICES
    assert "rabbitmq-diagnostics -q check_port_connectivity" in probes["rabbitmq"]
    assert probes["minio"] == "CMD mc ready local"
    assert "psql -h db " in probes["db"], "on 127.0.0.1 Postgres asks for no password and the probe proves nothing"
    assert "grep -q PONG" in probes["redis"], "redis-cli exits with 0 when it is refused"
    assert "API_KEY" not in probes["audio-converter"], "it writes the headers of every request into its log"
    assert "curl" not in probes["evolution-api"] + probes["audio-converter"], "these images have no curl"


def test_every_container_is_limited_logged_restarted_and_stripped(dev: Recording) -> None:
    for container in dev.of_type("Container"):
        inputs = container.inputs
        assert inputs["restart"] == "unless-stopped"
        assert inputs["mustRun"] is True
        assert inputs["memory"] == inputs["memorySwap"] > 0
        assert float(inputs["cpus"]) > 0
        assert "." in inputs["cpus"], "the engine gives 1.0 back for 1, which would replace the container at every up"
        assert inputs["logOpts"] == {"max-size": "10m", "max-file": "3"}
        assert inputs["capabilities"] == {"drops": ["ALL"]}
        assert inputs["securityOpts"] == ["no-new-privileges:true"]


def test_whatever_keeps_data_gets_time_to_end_in_peace(dev: Recording) -> None:
    for name in ("db", "evolution_postgres", "redis", "rabbitmq", "minio", "evolution-api"):
        assert dev.container(name).inputs["destroyGraceSeconds"] >= 15, f"{name}: the provider kills at once unless told to wait"


def test_a_replaced_rabbitmq_replaces_evolution_which_never_reconnects(dev: Recording) -> None:
    assert dev.container("evolution-api").labels["whatsapp.restarts-with.rabbitmq"] == "id-of-rabbitmq"


def test_labels_are_those_that_the_compose_client_looks_for(dev: Recording) -> None:
    assert (
        dev.container("db").labels.items()
        >= {
            "com.docker.compose.project": "whatsapp-dev",
            "com.docker.compose.service": "db",
            "com.docker.compose.container-number": "1",
            "com.docker.compose.oneoff": "False",
            "com.docker.compose.config-hash": "pulumi",
            "whatsapp.stack": "dev",
        }.items()
    )


def test_every_container_says_from_which_folder_it_was_made(recorded: Callable[..., Recording], tmp_path: Path) -> None:
    folders = {each.labels["whatsapp.folder"] for each in recorded().of_type("Container")}
    assert folders == {str(tmp_path)}, "another clone on the same engine would take them for its own leftovers"


def test_the_compose_client_learns_what_a_service_needs_and_what_takes_a_restart_with_it(dev: Recording) -> None:
    label = "com.docker.compose.depends_on"
    needs = {each.labels["com.docker.compose.service"]: each.labels.get(label) for each in dev.of_type("Container")}
    assert needs.pop("app") == "db:service_started:false,evolution-api:service_started:false,rabbitmq:service_started:false"
    evolution = needs.pop("evolution-api")
    assert evolution is not None
    assert [each for each in evolution.split(",") if each.endswith(":true")] == ["rabbitmq:service_started:true"]
    assert set(needs.values()) == {None}, "these need nobody"


def test_a_proxy_of_this_machine_reaches_the_builds_and_is_kept_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:word@proxy.example:3128")
    app = next(each for each in record(tmp_path).of_type("RemoteImage") if each.name == "app")
    assert app.inputs["build"]["buildArgs"]["https_proxy"] == "http://user:word@proxy.example:3128"
    assert "build" in app.secrets


def test_mocks_that_make_up_no_passwords_see_the_same_resources(dev: Recording, tmp_path: Path) -> None:
    silent = record(tmp_path, silent=True)
    assert sorted(each.name for each in silent.resources) == sorted(each.name for each in dev.resources)
    assert silent.container("db").inputs["image"] == "postgres:16"
    assert silent.container("minio").inputs["image"] == "quay.io/minio/minio"


def test_evolution_waits_for_rabbitmq_before_it_starts_whoever_starts_it(dev: Recording) -> None:
    evolution = dev.container("evolution-api")
    script = evolution.files[evolution.environment["BASH_ENV"]]
    assert "/dev/tcp/" in script
    assert "$$ -eq 1" in script, "every shell that somebody opens in the container would wait"


def test_a_probe_of_evolution_sees_that_it_has_no_connection_to_rabbitmq(dev: Recording) -> None:
    probe = dev.container("evolution-api").inputs["healthcheck"]["tests"][1]
    assert f":{5672:04X} 01 " in probe
    assert '"restart_exit_code": 4' in dev.container("evolution-api").labels["whatsapp.probe"]


def test_redis_logs_every_write_and_evicts_nothing(dev: Recording) -> None:
    configuration = dev.container("redis").files["/run/secrets/redis.conf"]
    assert "appendonly yes" in configuration
    assert "maxmemory-policy noeviction" in configuration


def test_redis_refuses_writes_before_the_kernel_ends_it(recorded: Callable[..., Recording]) -> None:
    redis = recorded(env="REDIS_MEMORY_MB=400\n").container("redis")
    assert redis.inputs["memory"] == 400
    assert "maxmemory 300mb\n" in redis.files["/run/secrets/redis.conf"]


def test_a_database_keeps_its_data_in_its_volume_in_the_place_that_its_image_prefers(recorded: Callable[..., Recording]) -> None:
    stack = recorded(env="POSTGRES_IMAGE=postgres:18\n")
    assert stack.container("db").mounts == {"/var/lib/postgresql": "whatsapp-dev_postgres_adk_data"}
    assert stack.container("db").environment["PGDATA"] == "/var/lib/postgresql/18/docker"
    assert stack.container("evolution_postgres").environment["PGDATA"] in stack.container("evolution_postgres").mounts


def test_data_of_another_project_is_looked_after_before_redis_and_rabbitmq_start(dev: Recording) -> None:
    for service, command in (("redis", ["redis-server", "/run/secrets/redis.conf"]), ("rabbitmq", ["rabbitmq-server"])):
        inputs = dev.container(service).inputs
        (script,) = inputs["entrypoints"]
        assert 'exec docker-entrypoint.sh "$@"' in dev.container(service).files[script], "the image's own start is left out"
        assert inputs["command"] == command


def test_a_developer_edits_sources_on_the_host(dev: Recording) -> None:
    assert set(dev.container("app").mounts) == {"/app/src", "/app/scripts", "/app/tasks", "/app/alembic", "/app/alembic.ini"}


def test_three_replicas_share_one_name_and_take_ports_upwards(recorded: Callable[..., Recording]) -> None:
    stack = recorded(env="APP_REPLICAS=3\nAPP_PORT=8100\n")
    apps = [each for each in stack.of_type("Container") if each.labels["com.docker.compose.service"] == "app"]
    assert [each.inputs["name"] for each in apps] == ["whatsapp-dev-app-1", "whatsapp-dev-app-2", "whatsapp-dev-app-3"]
    assert [each.ports[8000] for each in apps] == [8100, 8101, 8102]
    assert all("app" in each.inputs["networksAdvanced"][0]["aliases"] for each in apps)
    assert [each.inputs["hostname"] for each in apps] == ["app-1", "app-2", "app-3"], "as `app`, each would find only itself by that name"
    assert [each.name for each in apps] == ["app", "app-2", "app-3"], "the first one is the same resource as before, or its name conflicts"


@pytest.mark.parametrize(("replicas", "each"), [(1, 24), (3, 24), (6, 15), (20, 4)])
def test_all_replicas_together_leave_connections_of_their_database_to_others(
    recorded: Callable[..., Recording], replicas: int, each: int
) -> None:
    app = recorded(env=f"APP_REPLICAS={replicas}\nPOSTGRES_MAX_CONNECTIONS=100\n").container("app")
    assert app.environment["DATABASE_CONNECTIONS"] == str(each)
    assert replicas * each <= 90


def test_a_databases_parameters_and_the_place_of_evolutions_keys_are_settings(recorded: Callable[..., Recording]) -> None:
    redis = "EVOLUTION_REDIS_DATABASE=1\nCACHE_REDIS_PREFIX_KEY=shop\n"
    stack = recorded(env=f"POSTGRES_MAX_CONNECTIONS=200\nPOSTGRES_PARAMETERS=shared_buffers=128MB  auto_explain.log_analyze=on\n{redis}")
    parameters = ["max_connections=200", "shared_buffers=128MB", "auto_explain.log_analyze=on"]
    assert stack.container("db").inputs["command"] == ["postgres", *(part for each in parameters for part in ("-c", each))]
    assert stack.container("evolution_postgres").inputs["command"] == ["postgres", "-c", "max_connections=100"]
    environment = stack.container("evolution-api").environment
    assert environment["CACHE_REDIS_URI"] == "redis://:generated-redis-password@redis:6379/1"
    assert environment["CACHE_REDIS_PREFIX_KEY"] == "shop"


def test_pgadmin_comes_on_request_and_lists_both_databases(recorded: Callable[..., Recording]) -> None:
    pgadmin = recorded(env="PGADMIN_ENABLED=true\nPOSTGRES_DB=shop\n").container("pgadmin")
    servers = json.loads(pgadmin.files[pgadmin.environment["PGADMIN_SERVER_JSON_FILE"]])["Servers"].values()
    found = [(each["Name"], each["Host"], each["Port"], each["MaintenanceDB"], each["Username"]) for each in servers]
    assert found == [("db", "db", 5432, "shop", "app"), ("evolution_postgres", "evolution_postgres", 5432, "evolution", "evolution")]
    assert pgadmin.ports == {5050: 5050}
    assert pgadmin.environment["PGADMIN_LISTEN_PORT"] == "5050", "without new privileges it can't listen on 80"
    assert pgadmin.inputs["capabilities"] == {"adds": ["CAP_NET_BIND_SERVICE"], "drops": ["ALL"]}, "older images' Python needs it"


def test_production_publishes_only_what_the_world_calls(prod: Recording) -> None:
    published = {each.labels["com.docker.compose.service"] for each in prod.of_type("Container") if each.ports}
    assert published == {"app", "evolution-api"}


def test_production_protects_its_volumes_from_any_plan_that_would_delete_one(dev: Recording, prod: Recording) -> None:
    assert {each.name for each in prod.resources if each.is_protected} == set(VOLUMES)
    assert not any(each.is_protected for each in dev.resources)


def test_what_is_recorded_is_the_same_on_a_machine_without_a_registry(recorded: Callable[..., Recording], tmp_path: Path) -> None:
    (tmp_path / ".state").mkdir()
    (tmp_path / ".state" / "machine.env").write_text("IMAGES=local\n")
    assert recorded().image_names["db"] == "postgres:16"


def test_production_runs_the_application_from_its_image(prod: Recording) -> None:
    (app,) = [each for each in prod.of_type("Container") if each.labels["com.docker.compose.service"] == "app"]
    assert not app.mounts
    (image,) = [each for each in prod.of_type("RemoteImage") if each.name == "app"]
    assert image.inputs["build"]["target"] == "prod"


def test_development_and_production_differ_by_configuration_alone(dev: Recording, prod: Recording) -> None:
    same = ("db", "redis", "rabbitmq", "minio", "audio-converter")
    for name in same:
        (twin,) = [each for each in prod.of_type("Container") if each.labels["com.docker.compose.service"] == name]
        for key in ("command", "user", "healthcheck", "memory", "capabilities"):
            assert dev.container(name).inputs.get(key) == twin.inputs.get(key), f"{name}: {key} differs between the stacks"


def test_local_images_replace_all_but_those_named_in_the_settings(recorded: Callable[..., Recording]) -> None:
    stack = recorded(env="IMAGES=local\nREDIS_IMAGE=mirror.example.com/redis:7.2\n")
    assert stack.image_names == {
        "app": "whatsapp-dev-app:*",
        "db": "whatsapp-local/postgres:16-*",
        "evolution-api": "whatsapp-local/evolution-simulator:*",
        "evolution_postgres": "whatsapp-local/postgres:15-*",
        "redis": "mirror.example.com/redis:7.2",
        "rabbitmq": "whatsapp-local/rabbitmq:*",
        "minio": "whatsapp-local/minio:*",
        "audio-converter": "whatsapp-local/audio-converter:*",
    }


def test_versions_of_postgres_that_can_be_built_here_are_and_others_come_from_the_registry(recorded: Callable[..., Recording]) -> None:
    stack = recorded(env="IMAGES=local\nPOSTGRES_IMAGE=postgres:18\nEVOLUTION_POSTGRES_IMAGE=postgres:15.2\n")
    assert stack.image_names["db"] == "whatsapp-local/postgres:18-*"
    assert stack.image_names["evolution_postgres"] == "postgres:15.2"
    (image,) = [each for each in stack.of_type("RemoteImage") if each.name == "postgres:18"]
    assert f"\n{image.inputs['build']['buildArgs']['POSTGRES_VERSION']} " in (PROJECT / "images" / "postgres" / "checksums").read_text()
    assert recorded(env="POSTGRES_IMAGE=postgres:18\n").image_names["db"] == "postgres:18", "with images from a registry it is built"


def test_the_simulator_is_to_be_had_with_images_from_a_registry(recorded: Callable[..., Recording]) -> None:
    stack = recorded(env="EVOLUTION=simulator\n")
    assert stack.image_names["evolution-api"] == "whatsapp-local/evolution-simulator:*"
    (image,) = [each for each in stack.of_type("RemoteImage") if each.name == "evolution-simulator"]
    assert image.inputs["build"]["buildArgs"] == {"PYTHON_IMAGE": "python:3.12-slim"}


@pytest.mark.parametrize(
    ("secret", "users"),
    [
        ("postgres-password", {"db", "app"}),
        ("evolution-postgres-password", {"evolution_postgres", "evolution-api"}),
        ("redis-password", {"redis", "evolution-api"}),
        ("minio-root-password", {"minio", "evolution-api"}),
        ("audio-converter-api-key", {"audio-converter", "evolution-api"}),
        ("rabbitmq-default-pass", {"evolution-api", "app"}),  # RabbitMQ itself is told the hash
        ("authentication-api-key", {"evolution-api", "app"}),
        ("webhook-secret", {"app"}),
    ],
)
def test_a_secret_reaches_exactly_the_containers_that_use_it(dev: Recording, secret: str, users: set[str]) -> None:
    assert {each.name for each in dev.of_type("Container") if f"generated-{secret}" in str(each.inputs)} == users


@pytest.mark.parametrize(
    ("line", "changed"),
    [
        ("RABBITMQ_DEFAULT_PASS=another", {"rabbitmq", "evolution-api", "app"}),
        ("CONFIG_SESSION_PHONE_VERSION=2.3000.1", {"evolution-api"}),
        ("DATABASE_SAVE_DATA_CONTACTS=false", {"evolution-api"}),
        ("POSTGRES_MEMORY_MB=777", {"db"}),
        ("APP_ENV_FEATURE=on", {"app"}),
    ],
)
def test_a_setting_changes_exactly_the_containers_that_use_it(
    dev: Recording, recorded: Callable[..., Recording], line: str, changed: set[str]
) -> None:
    after = recorded(env=f"{line}\n")
    assert {name for name in SERVICES if comparable(dev.container(name)) != comparable(after.container(name))} == changed


def test_what_is_built_on_another_image_is_built_again_when_that_one_changes(recorded: Callable[..., Recording], tmp_path: Path) -> None:
    def tags(stack: Recording) -> dict[str, str]:
        return {each.name: each.inputs["name"] for each in stack.of_type("RemoteImage")}

    before = tags(recorded(env="IMAGES=local\n"))
    changed = tmp_path / "changed"
    changed.mkdir()
    shutil.copytree(PROJECT / "images", changed / "images")
    (changed / "images" / "postgres-base" / "Dockerfile").open("a").write("# changed\n")
    after = tags(record(changed, env="IMAGES=local\n"))
    assert {name for name in before if before[name] != after[name]} == {"postgres-base", "postgres:16", "postgres:15"}


def comparable(container: Resource) -> dict[str, object]:
    """What of a container does not depend on the folder in which the program ran."""
    labels = {name: value for name, value in container.labels.items() if name != "whatsapp.folder"}
    return {**{name: value for name, value in container.inputs.items() if name != "mounts"}, "labels": labels}
