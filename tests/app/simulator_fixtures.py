"""Fixtures for the tests of the simulator: its services, started together and once, and the simulators that a test asks for."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.app.simulator_support import KEY, SECRET, START_LIMIT_S, Broker, Process, Service, Services, answers, eventually, redis_cli

Run = Callable[..., Process]


@pytest.fixture(scope="session")
def services() -> Iterator[Services]:
    started = Services()
    try:
        yield started
    finally:
        started.close()


@pytest.fixture(scope="session")
def starting_rabbitmq(services: Services) -> Service:
    """The slowest one: begun before anything waits for it."""
    return services.start(
        "rabbitmq",
        "rabbitmq:management",
        (5672, 15672),
        environment={"RABBITMQ_DEFAULT_USER": "evolution", "RABBITMQ_DEFAULT_PASS": SECRET},
    )


@pytest.fixture(scope="session")
def redis_server(services: Services, starting_rabbitmq: Service) -> Service:  # noqa: ARG001
    server = services.start("redis", "redis:7", (6379,), {}, ["redis-server", "--requirepass", SECRET, "--appendonly", "yes"])
    eventually(lambda: redis_cli(server, "ping") == "PONG", "redis answers a ping", START_LIMIT_S)
    return server


@pytest.fixture(scope="session")
def minio_server(services: Services, starting_rabbitmq: Service) -> Service:  # noqa: ARG001
    server = services.start(
        "minio",
        "quay.io/minio/minio",
        (9000,),
        command=["server", "/data"],
        environment={"MINIO_ROOT_USER": "evolution", "MINIO_ROOT_PASSWORD": SECRET},
    )
    health = f"http://127.0.0.1:{server.ports['9000']}/minio/health/live"
    eventually(lambda: answers(health), f"minio is live; its log ends {server.logs()}", START_LIMIT_S)
    return server


@pytest.fixture(scope="session")
def broker(starting_rabbitmq: Service) -> Broker:
    broker = Broker(starting_rabbitmq)
    url = f"{broker.api.base_url}aliveness-test/%2F"
    eventually(lambda: answers(url, ("evolution", SECRET)), f"RabbitMQ is up; its log ends {starting_rabbitmq.logs()}", START_LIMIT_S)
    return broker


@pytest.fixture(scope="session")
def postgres_server(services: Services, starting_rabbitmq: Service) -> Service:  # noqa: ARG001
    environment = {"POSTGRES_USER": "evolution", "POSTGRES_PASSWORD": SECRET}
    server = services.start("postgres:15", "postgres:15", (5432,), environment, ["postgres", "-c", "fsync=off"])
    ready = ["pg_isready", "-h", "127.0.0.1"]
    eventually(lambda: server.container.exec_run(ready).exit_code == 0, f"Postgres is ready; its log ends {server.logs()}", START_LIMIT_S)
    return server


@contextmanager
def runner(folders: pytest.TempPathFactory) -> Iterator[Run]:
    processes: list[Process] = []

    def start(*environments: dict[str, str], ready: bool = True, **more: str) -> Process:
        """Start with all that is given, the later before the earlier."""
        environment: dict[str, str] = {}
        for each in environments:
            environment |= each
        process = Process(folders.mktemp("simulator"), environment | more)
        processes.append(process)
        if ready:
            process.wait_until_ready()
        return process

    try:
        yield start
    finally:
        for process in processes:
            process.kill()


@pytest.fixture
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Starts simulators for a test."""
    with runner(tmp_path_factory) as start:
        yield start


@pytest.fixture(scope="session")
def run_for_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Starts simulators that several tests share."""
    with runner(tmp_path_factory) as start:
        yield start


@pytest.fixture(scope="session")
def database_uri(postgres_server: Service) -> Callable[[], str]:
    """Gives a URI of a database that isn't there yet, in Prisma's form."""
    at = f"evolution:{SECRET}@127.0.0.1:{postgres_server.ports['5432']}"
    return lambda: f"postgresql://{at}/evolution{uuid.uuid4().hex[:8]}?schema=public"


@pytest.fixture(scope="session")
def alone(database_uri: Callable[[], str]) -> Callable[[], dict[str, str]]:
    """The least that a simulator needs: Postgres, a new database each time, and nothing else."""
    return lambda: {
        "DATABASE_PROVIDER": "postgresql",
        "DATABASE_CONNECTION_URI": database_uri(),
        "AUTHENTICATION_API_KEY": KEY,
        "CACHE_REDIS_ENABLED": "false",
    }


@pytest.fixture(scope="session")
def with_redis(redis_server: Service) -> dict[str, str]:
    return {"CACHE_REDIS_ENABLED": "true", "CACHE_REDIS_URI": f"redis://:{SECRET}@127.0.0.1:{redis_server.ports['6379']}/6"}


@pytest.fixture(scope="session")
def with_minio(minio_server: Service) -> dict[str, str]:
    return {
        "S3_ENABLED": "true",
        "S3_ENDPOINT": "127.0.0.1",
        "S3_PORT": str(minio_server.ports["9000"]),
        "S3_USE_SSL": "false",
        "S3_REGION": "us-east-1",
        "S3_ACCESS_KEY": "evolution",
        "S3_SECRET_KEY": SECRET,
    }


@pytest.fixture(scope="session")
def with_rabbitmq(broker: Broker) -> dict[str, str]:
    """RabbitMQ with global events, to the exchange that the image names: `evolution`."""
    events = (
        "APPLICATION_STARTUP",
        "INSTANCE_CREATE",
        "INSTANCE_DELETE",
        "CONNECTION_UPDATE",
        "GROUPS_UPDATE",
        "GROUP_PARTICIPANTS_UPDATE",
    )
    return {
        "RABBITMQ_ENABLED": "true",
        "RABBITMQ_URI": broker.uri,
        "RABBITMQ_GLOBAL_ENABLED": "true",
        **{f"RABBITMQ_EVENTS_{event}": "true" for event in events},
    }


@pytest.fixture(scope="session")
def simulator(
    run_for_all: Run,
    alone: Callable[[], dict[str, str]],
    with_redis: dict[str, str],
    with_minio: dict[str, str],
    with_rabbitmq: dict[str, str],
) -> Process:
    """One with everything."""
    process = run_for_all(alone(), with_redis, with_minio, with_rabbitmq)
    process.wait_for_line("Initializing global queues")
    return process
