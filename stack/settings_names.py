"""Names that are no settings: what people mean by them, and the words to say it in.

People bring names from elsewhere: the images' own variables, Evolution API's documentation, their compose files. Others are slips of the
hand. A wrong guess is worse than none, and one that leads a secret into a setting that is shown is the worst.
"""

import re
from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Final

from stack.settings_layers import Given, Problem

APP_VARIABLE_PREFIX: Final = "APP_ENV_"
"""`APP_ENV_NAME=value` gives the application a variable NAME of its own."""

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_DB = "POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB"
_EVOLUTION_DB = "EVOLUTION_POSTGRES_USER, EVOLUTION_POSTGRES_PASSWORD and EVOLUTION_POSTGRES_DB"
_RABBITMQ = "RABBITMQ_DEFAULT_USER and RABBITMQ_DEFAULT_PASS"

OTHER_NAMES: Final[Mapping[str, str]] = {
    "API_AUDIO_CONVERTER_KEY": "AUDIO_CONVERTER_API_KEY",
    "API_KEY": "AUTHENTICATION_API_KEY (of Evolution API), AUDIO_CONVERTER_API_KEY or APP_API_KEY",
    "API_PORT": "APP_PORT or EVOLUTION_PORT",
    "APIKEY": "AUTHENTICATION_API_KEY",
    "APP_ENV": "ENVIRONMENT",
    "AWS_ACCESS_KEY_ID": "MINIO_ROOT_USER",
    "AWS_SECRET_ACCESS_KEY": "MINIO_ROOT_PASSWORD",
    "BACKUP_FOLDER": "BACKUP_DIR",
    "BACKUP_PASSPHRASE": "BACKUP_KEY",
    "BACKUP_PASSWORD": "BACKUP_KEY",
    "BACKUP_PATH": "BACKUP_DIR",
    "BACKUP_RETENTION": "BACKUP_KEEP or BACKUP_KEEP_DAYS",
    "BACKUP_RETENTION_DAYS": "BACKUP_KEEP_DAYS",
    "COMPOSE_PROJECT_NAME": "PROJECT_NAME",
    "DATABASE_CONNECTION_CLIENT_NAME": "EVOLUTION_CLIENT_NAME",
    "DATABASE_SAVE_DATA_MESSAGES": "DATABASE_SAVE_DATA_NEW_MESSAGE",
    "DEL_TEMP_INSTANCES": "DEL_INSTANCE",
    "ENV": "ENVIRONMENT",
    "EVOLUTION_DB": "EVOLUTION_POSTGRES_DB",
    "HOST_IP": "BIND_ADDRESS",
    "LOG_LEVEL": "APP_LOG_LEVEL or EVOLUTION_LOG_LEVEL",
    "MINIO_ACCESS_KEY": "MINIO_ROOT_USER",
    "MINIO_BUCKET": "S3_BUCKET",
    "MINIO_BUCKET_NAME": "S3_BUCKET",
    "MINIO_DEFAULT_BUCKETS": "S3_BUCKET",
    "MINIO_SECRET_KEY": "MINIO_ROOT_PASSWORD",
    "MINIO_UI_PORT": "MINIO_CONSOLE_PORT",
    "MINIO_WEB_PORT": "MINIO_CONSOLE_PORT",
    "NODE_ENV": "ENVIRONMENT",
    "PGADMIN_LISTEN_PORT": "PGADMIN_PORT",
    "PGADMIN_USER": "PGADMIN_DEFAULT_EMAIL",
    "PGDATABASE": "POSTGRES_DB",
    "PGPASSWORD": "POSTGRES_PASSWORD",
    "PGPORT": "POSTGRES_PORT",
    "PGUSER": "POSTGRES_USER",
    "PORT": "APP_PORT, EVOLUTION_PORT or AUDIO_CONVERTER_PORT",
    "RABBITMQ_CONSOLE_PORT": "RABBITMQ_UI_PORT",
    "RABBITMQ_EXCHANGE": "RABBITMQ_EXCHANGE_NAME",
    "RABBITMQ_MANAGEMENT_PORT": "RABBITMQ_UI_PORT",
    "RABBITMQ_WEB_PORT": "RABBITMQ_UI_PORT",
    "REPLICAS": "APP_REPLICAS",
    "S3_ACCESS_KEY": "MINIO_ROOT_USER",
    "S3_BUCKET_NAME": "S3_BUCKET",
    "S3_SECRET_KEY": "MINIO_ROOT_PASSWORD",
    "SERVER_PORT": "EVOLUTION_PORT",
    "SERVER_URL": "EVOLUTION_SERVER_URL",
    "TIMEZONE": "TZ",
    "TIME_ZONE": "TZ",
    "WEBHOOK_URL": "WEBHOOK_GLOBAL_URL",
}
"""Usual names for what is a setting here under another one."""

MADE_HERE: Final[Mapping[str, str]] = {
    "AMQP_URL": _RABBITMQ,
    "API_AUDIO_CONVERTER": "AUDIO_CONVERTER_PORT",
    "AUDIO_CONVERTER_URL": "AUDIO_CONVERTER_PORT",
    "CACHE_REDIS_URI": "REDIS_PASSWORD",
    "DATABASE_CONNECTION_URI": _EVOLUTION_DB,
    "DATABASE_URL": _DB,
    "DB_URL": _DB,
    "POSTGRES_URL": _DB,
    "RABBITMQ_URI": _RABBITMQ,
    "RABBITMQ_URL": _RABBITMQ,
    "REDIS_URI": "REDIS_PASSWORD",
    "REDIS_URL": "REDIS_PASSWORD",
    "SQLALCHEMY_DATABASE_URI": _DB,
}
"""Values that this program puts together from settings."""

_SET_HERE: Final = re.compile(
    r"(DB|DATABASE|POSTGRES|EVOLUTION_POSTGRES|EVOLUTION|EVOLUTION_API|APP|REDIS|RABBITMQ|MINIO|S3|AUDIO_CONVERTER)_(HOST|HOSTNAME|ENDPOINT|URL)"
    r"|PGHOST|PGDATA|POSTGRES_(INITDB_ARGS|HOST_AUTH_METHOD)|DATABASE_(PROVIDER|ENABLED)|CACHE_(REDIS|LOCAL)_\w+|REDIS_ENABLED"
    r"|RABBITMQ_(ENABLED|GLOBAL_ENABLED|PREFIX_KEY|VHOST|DEFAULT_VHOST|ERLANG_COOKIE|NODENAME)|AUDIO_CONVERTER_ENABLED|MINIO_ENABLED"
    r"|MINIO_(REGION|SITE_REGION|SERVER_URL|BROWSER_REDIRECT_URL|VOLUMES)|S3_(ENABLED|PORT|USE_SSL|REGION)"
    r"|SERVER_TYPE|LOG_COLOR|(WEBSOCKET|SQS)_ENABLED"
)
"""What the program decides by itself: which services there are, where they find each other, how they are joined."""

_NO_HOST_PORT: Final = re.compile(r"(REDIS|RABBITMQ|RABBITMQ_NODE|RABBITMQ_AMQP|AMQP)_PORT")
_NO_EVENT: Final = re.compile(r"(RABBITMQ|WEBHOOK)_EVENTS_\w+")
_NOT_PASSED_ON: Final = re.compile(
    r"(CHATWOOT|TYPEBOT|OPENAI|DIFY|N8N|FLOWISE|EVOAI|WEBSOCKET|SQS|PUSHER|NATS|KAFKA|CORS|SSL_CONF|WA_BUSINESS|PROXY|SENTRY|METRICS"
    r"|SERVER_DISABLE)_\w+|QRCODE_COLOR|LOG_BAILEYS|EVENT_EMITTER_MAX_LISTENERS|AUTHENTICATION_TYPE|S3_SKIP_POLICY"
)
"""What else Evolution API reads, in this version or another."""

APP_VARIABLES_SET_HERE: Final[Mapping[str, str]] = {
    "APP_API_KEY": "APP_API_KEY",
    "DATABASE_CONNECTIONS": "POSTGRES_MAX_CONNECTIONS",
    "DATABASE_URL": _DB,
    "ENVIRONMENT": "ENVIRONMENT",
    "EVENTS_VIA": "APP_EVENTS_VIA",
    "EVOLUTION_API_KEY": "EVOLUTION_API_KEY",
    "EVOLUTION_API_URL": "",
    "LOG_LEVEL": "APP_LOG_LEVEL",
    "OUTBOX_CONCURRENCY": "APP_OUTBOX_CONCURRENCY",
    "OUTBOX_GIVE_UP_HOURS": "APP_OUTBOX_GIVE_UP_HOURS",
    "PATH": "",
    "RABBITMQ_EXCHANGE": "RABBITMQ_EXCHANGE_NAME",
    "RABBITMQ_URL": _RABBITMQ,
    "TZ": "TZ",
    "WEBHOOK_SECRET": "WEBHOOK_SECRET",
}
"""The application's variables that are not its user's own, each with the setting that it comes from, if one does."""

_SAME_WORDS: Final = {
    "CPU": "CPUS",
    "DATABASE": "POSTGRES",
    "DB": "POSTGRES",
    "EVO": "EVOLUTION",
    "MEM": "MEMORY",
    "PASS": "PASSWORD",
    "PASSWD": "PASSWORD",
    "PG": "POSTGRES",
    "POSTGRESQL": "POSTGRES",
    "PWD": "PASSWORD",
    "URI": "URL",
    "USERNAME": "USER",
}
_FILLERS: Final = frozenset({"API", "DEFAULT", "MAX", "MB", "ROOT"})
_SECRET_WORDS: Final = frozenset({"KEY", "APIKEY", "SECRET", "TOKEN", "PASSWORD", "PASS", "PASSWD", "PWD", "PASSPHRASE", "AUTH", "COOKIE"})
_ALIKE = 0.7
"""From which likeness on one word is a slip for another: PROT for PORT is (0.75), HOST for PORT isn't (0.5)."""


def problems(given: Mapping[str, Given], known: Mapping[str, bool]) -> Iterator[Problem]:
    """What is wrong with the names of given values.

    Args:
        given: all values, by name.
        known: the names of all settings, and whether each is a secret.
    """
    for name in sorted(given.keys() - known.keys()):
        place = given[name].place
        own = name.startswith(APP_VARIABLE_PREFIX)
        wrong = _wrong_own(name.removeprefix(APP_VARIABLE_PREFIX)) if own else _wrong(name, known)
        if wrong:
            yield Problem(place, f"{name} ({place}) {wrong}{'' if wrong.endswith('?') else '.'}")


def meant(name: str, known: Mapping[str, bool]) -> str | None:
    """The setting for which a name is another way to write it, or a slip of the hand; None when that is no safe guess."""
    if (other := OTHER_NAMES.get(name.upper())) in known:
        return other
    wanted = [each for each in known if known[each] or not _looks_secret(name)]
    same = [each for each in wanted if _words(each) == _words(name)]
    alike = same or [each for each in wanted if _is_slip(name.upper(), each)]
    return max(alike, key=lambda each: _likeness(name.upper(), each), default=None)


def _wrong_own(name: str) -> str:
    """What is wrong with the name of a variable of the application's own; empty when nothing is."""
    if not _VARIABLE.fullmatch(name):
        return f"names no variable: write letters, digits and _ after {APP_VARIABLE_PREFIX}"
    setting = APP_VARIABLES_SET_HERE.get(name.upper())
    if setting is None:
        return ""
    mend = f"set {setting} instead" if setting else "leave it out"
    return f"would change what this program gives the application as {name.upper()}: {mend}"


def _wrong(name: str, known: Mapping[str, bool]) -> str:
    """What to write in place of a name that is no setting."""
    upper = name.upper()
    if upper in OTHER_NAMES:
        return f"is not a setting: use {OTHER_NAMES[upper]}"
    if upper in MADE_HERE:
        return f"is made by this program: set {MADE_HERE[upper]} instead"
    if known.get(upper.removesuffix("_FILE")):
        return f"is not a setting: give the secret itself, as {upper.removesuffix('_FILE')}"
    if _SET_HERE.fullmatch(upper):
        return "is set by this program itself: leave it out"
    if _NO_HOST_PORT.fullmatch(upper):
        return "is not a setting: that port is not published, and has its usual number inside the network"
    if setting := meant(name, known):
        return f"is not a setting: did you mean {setting}?"
    if _NO_EVENT.fullmatch(upper):
        return "names no event that Evolution API 2.2.3 announces: .env.example lists those that it does"
    if _NOT_PASSED_ON.fullmatch(upper):
        return "is a variable of Evolution API that this program does not pass on: leave it out"
    own = f"; a variable for the application's own use is written {APP_VARIABLE_PREFIX}{name}" if _VARIABLE.fullmatch(name) else ""
    return f"is not a setting: .env.example lists all{own}"


def _words(name: str) -> frozenset[str]:
    """The words of a name in any order and in one spelling, without those that others leave out."""
    *words, last = name.upper().split("_")
    end = "NAME" if words and last in {"DB", "DATABASE", "DBNAME"} else _SAME_WORDS.get(last, last)
    return frozenset({*(_SAME_WORDS.get(word, word) for word in words), end} - _FILLERS)


def _looks_secret(name: str) -> bool:
    return not _SECRET_WORDS.isdisjoint(name.upper().split("_"))


def _is_slip(name: str, setting: str) -> bool:
    """Whether each word of the name is nearly that of the setting, or has its letters; or only the underscores differ."""
    pairs = list(zip_longest(name.split("_"), setting.split("_"), fillvalue=""))
    slips = all(_likeness(one, other) >= _ALIKE or sorted(one) == sorted(other) for one, other in pairs)
    return slips or name.replace("_", "") == setting.replace("_", "")


def _likeness(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other).ratio()
