"""Which variables the simulator reads, what they mean, and what is refused: as Evolution API 2.2.3 and the libraries in it do."""

import pytest

from simulator.create_schema import SCHEMA
from simulator.database import parse_uri
from simulator.environment import EVENT_KEYS
from simulator.errors import ApiError
from simulator.events.event import Event
from simulator.express import parse_json
from simulator.media import check_endpoint
from simulator.messages.validation import problems
from simulator.sessions import check_uri
from simulator.settings import S3, Settings, StartRefusedError, load
from simulator.urls import is_url


def test_an_unset_variable_takes_what_the_image_carries_not_the_default_of_the_code() -> None:
    settings = load({})
    assert settings.api_key == "429683C4C977415CAAFCCE10F7D57E11"
    assert settings.database.client_name == "evolution_exchange"
    assert settings.database.save.instance
    assert settings.expose_token
    assert (settings.redis.enabled, settings.redis.uri, settings.redis.prefix) == (True, "redis://localhost:6379/6", "evolution")
    assert (settings.rabbitmq.enabled, settings.rabbitmq.uri, settings.rabbitmq.exchange) == (False, "amqp://localhost", "evolution")
    assert (settings.s3.enabled, settings.s3.port, settings.s3.use_ssl, settings.s3.region) == (False, 443, True, "eu-west-3")
    assert settings.phone.qrcode_color == "#175197"


def test_a_variable_that_is_set_but_empty_takes_the_default_of_the_code() -> None:
    names = (
        "AUTHENTICATION_API_KEY DATABASE_CONNECTION_CLIENT_NAME DATABASE_SAVE_DATA_INSTANCE CACHE_REDIS_PREFIX_KEY RABBITMQ_PREFIX_KEY "
        "RABBITMQ_EXCHANGE_NAME S3_PORT QRCODE_COLOR SERVER_PORT AUTHENTICATION_EXPOSE_IN_FETCH_INSTANCES"
    )
    settings = load(dict.fromkeys(names.split(), ""))
    assert settings.api_key == "BQYHJGJHJ"
    assert settings.database.client_name == "evolution"
    assert not settings.database.save.instance
    assert not settings.expose_token
    assert settings.redis.prefix == "evolution-cache"
    assert (settings.rabbitmq.prefix, settings.rabbitmq.exchange) == ("evolution", "evolution_exchange")
    assert settings.s3.port == 9000
    assert settings.phone.qrcode_color == "#198754"
    assert settings.server.port == 8080


def test_the_provider_counts_only_when_the_container_sets_it() -> None:
    assert load({}).database.provider is None
    assert load({"DATABASE_PROVIDER": "postgresql"}).database.provider == "postgresql"


@pytest.mark.parametrize("value", ["True", "TRUE", "1", "yes", " true", ""])
def test_only_the_exact_word_true_is_true(value: str) -> None:
    assert not load({"RABBITMQ_ENABLED": value}).rabbitmq.enabled
    assert load({"RABBITMQ_ENABLED": "true"}).rabbitmq.enabled


@pytest.mark.parametrize(("text", "port"), [("8081", 8081), ("80abc", 80), ("abc", 8080), ("0", 8080), (" 9000", 9000)])
def test_a_number_is_read_as_javascript_reads_it(text: str, port: int) -> None:
    assert load({"SERVER_PORT": text}).server.port == port


def test_an_event_is_switched_by_its_own_variable_and_group_update_by_the_plural() -> None:
    for key in EVENT_KEYS:
        variable = "GROUPS_UPDATE" if key == "GROUP_UPDATE" else key
        assert load({f"RABBITMQ_EVENTS_{variable}": "true"}).rabbitmq.events == {key}
    assert load({"RABBITMQ_EVENTS_GROUP_UPDATE": "true"}).rabbitmq.events == set(), "2.2.3 never reads this one, though its example has it"


def test_names_of_other_versions_are_ignored() -> None:
    others = (
        "REDIS_URI",
        "REDIS_ENABLED",
        "DATABASE_URL",
        "DATABASE_ENABLED",
        "S3_BUCKET_NAME",
        "AUDIO_CONVERTER_URL",
        "AUTHENTICATION_TYPE",
    )
    assert load(dict.fromkeys(others, "true")) == load({})


def test_deleting_unconnected_instances_takes_minutes_and_no_other_word() -> None:
    assert load({"DEL_INSTANCE": "5"}).delete_after_minutes == 5
    assert [load({"DEL_INSTANCE": word}).delete_after_minutes for word in ("true", "false", "", "-1")] == [0, 0, 0, 0]


def test_switches_that_do_nothing_here_are_known() -> None:
    assert load({"CHATWOOT_ENABLED": "true", "TYPEBOT_ENABLED": "false"}).without_effect == ("CHATWOOT_ENABLED",)


@pytest.mark.parametrize("uri", ["redis://h", "redis://h:6379", "redis://:p%40w@h:6379/6", "rediss://u:p@h/0", "redis://h/"])
def test_a_redis_uri_that_node_takes_is_taken(uri: str) -> None:
    check_uri(uri)


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("redis://:secret@h:6379/abc", "Invalid pathname"),
        ("redis://h:6379/6/", "Invalid pathname"),
        ("http://h:6379/6", "Invalid protocol"),
        ("redis", "Invalid URL"),
        ("redis://h:port/6", "Invalid URL"),
    ],
)
def test_a_redis_uri_that_crashes_node_is_refused_without_telling_its_password(uri: str, why: str) -> None:
    with pytest.raises(StartRefusedError, match=f"TypeError: {why}.*CACHE_REDIS_URI") as refused:
        check_uri(uri)
    assert "secret" not in str(refused.value)


def s3(**variables: str) -> S3:
    return load({"S3_ENABLED": "true", "S3_ENDPOINT": "minio", "S3_PORT": "9000", **variables}).s3


@pytest.mark.parametrize("endpoint", ["minio", "minio.internal", "10.0.0.1", "my_minio", "::1"])
def test_a_bare_host_is_an_endpoint(endpoint: str) -> None:
    check_endpoint(s3(S3_ENDPOINT=endpoint))


@pytest.mark.parametrize("endpoint", ["http://minio", "minio:9000", "minio/path", "", "-minio", "minio_", ".minio", "a" * 256])
def test_an_endpoint_that_crashes_minio_js_is_refused(endpoint: str) -> None:
    with pytest.raises(StartRefusedError, match="Invalid endPoint"):
        check_endpoint(s3(S3_ENDPOINT=endpoint))


@pytest.mark.parametrize("port", ["nine", "70000", "-1"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    with pytest.raises(StartRefusedError, match="Invalid port"):
        check_endpoint(s3(S3_PORT=port))


def test_a_database_uri_is_read_as_prisma_reads_it() -> None:
    address = parse_uri("postgresql://us%40er:p%2Fw@db:5433/evo?schema=tenant&sslmode=disable&connect_timeout=3&connection_limit=9")
    assert (address.user, address.password, address.host, address.port, address.database) == ("us@er", "p/w", "db", 5433, "evo")
    assert (address.schema, address.sslmode, address.connect_timeout) == ("tenant_simulator", "disable", 3)
    assert parse_uri("postgres://u:p@db/evo").schema == "public_simulator"


@pytest.mark.parametrize(("uri", "code"), [("", "P1012"), ("mysql://u:p@db/evo", "P1012"), ("postgresql://u:p@db:port/evo", "P1013")])
def test_a_database_uri_that_prisma_refuses_is_refused(uri: str, code: str) -> None:
    with pytest.raises(StartRefusedError, match=code):
        parse_uri(uri)


@pytest.mark.parametrize(
    ("url", "with_tld", "without"),
    [
        ("http://app:8000/hook", False, True),
        ("http://app.internal:8000/hook", True, True),
        ("http://127.0.0.1:8000", True, True),
        ("http://[::1]:8000/", True, True),
        ("http://my_app.internal:8000", False, False),
        ("http://localhost:8000", False, True),
        ("ftp://app.internal", True, True),
        ("ws://app.internal", False, False),
        ("http://app.internal:99999", False, False),
        ("http://app internal", False, False),
        ("http://u:p@app.internal", True, True),
        ("app.internal/hook", True, True),
        ("http://", False, False),
        ("", False, False),
        (None, False, False),
    ],
)
def test_a_url_is_judged_as_validator_judges_it(url: object, with_tld: bool, without: bool) -> None:
    assert is_url(url, require_tld=True) is with_tld
    assert is_url(url, require_tld=False) is without


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"{x}", "Expected property name or '}' in JSON at position 1"),
        (b'{"a":1', "Expected ',' or '}' after property value in JSON at position 6"),
        (b'{"a" 1}', "Expected ':' after property name in JSON at position 5"),
        (b'{"a":', "Unexpected end of JSON input"),
        (b"hello", "Unexpected token 'h', \"hello\" is not valid JSON"),
        (b'"text"', 'Unexpected token \'"\', ""text"" is not valid JSON'),
        (b'{"a":NaN}', "Unexpected token 'N' in JSON"),
    ],
)
def test_a_malformed_body_is_told_in_the_words_of_node(raw: bytes, message: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse_json(raw)
    assert (refused.value.status, refused.value.error, refused.value.message) == (400, "Internal Server Error", message)


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({}, []),
        ({"instanceName": "", "integration": "EVOLUTION"}, []),
        ({"instanceName": ""}, ['The "instanceName" cannot be empty']),
        ({"number": "+55"}, ['number does not match pattern "^\\\\d+[\\\\.@\\\\w-]+"']),
        ({"rejectCall": 1, "number": 55}, ["number is not of a type(s) string", "rejectCall is not of a type(s) boolean"]),
    ],
)
def test_the_schema_of_create_checks_types_in_its_own_order_and_little_else(body: dict[str, object], wrong: list[str]) -> None:
    assert problems(body, SCHEMA) == wrong


def test_an_event_body_leaves_the_sender_out_before_pairing_and_never_the_key() -> None:
    event = Event("instance.create", "a", {"x": "ü"}, "http://s", "2026-01-01T00:00:00.000Z", None, None)
    assert event.body.decode() == (
        '{"event":"instance.create","instance":"a","data":{"x":"ü"},"server_url":"http://s","date_time":"2026-01-01T00:00:00.000Z","apikey":null}'
    )
    assert Event("group-participants.update", "a", {}, "", "", "j", None).switch == "GROUP_PARTICIPANTS_UPDATE"


def test_settings_hold_no_surprise_for_the_stack() -> None:
    """The address with which the stack calls RabbitMQ."""
    settings: Settings = load({"RABBITMQ_URI": "amqp://u:p@rabbitmq:5672/%2F?frameMax=131072"})
    assert settings.rabbitmq.uri.endswith("?frameMax=131072")
