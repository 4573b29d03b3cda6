"""Names that are no settings: each gets the right word, and none leads a secret astray."""

import re
from pathlib import Path

import pytest

from stack import settings_names
from stack.settings import NAMES, is_secret
from tests.unit.recording import record
from tests.unit.settings_problems import problems

KNOWN = {name: is_secret(name) for name in NAMES}


@pytest.mark.parametrize(
    ("slip", "setting"),
    [
        ("POSTGRES_PASWORD", "POSTGRES_PASSWORD"),
        ("POSTGRES_PSSWD", "POSTGRES_PASSWORD"),
        ("EVOLUTION_PROT", "EVOLUTION_PORT"),
        ("RABITMQ_DEFAULT_USER", "RABBITMQ_DEFAULT_USER"),
        ("WEBHOOK_GLOBAL_ULR", "WEBHOOK_GLOBAL_URL"),
        ("RABBITMQ_EVENTS_MESSAGE_UPSERT", "RABBITMQ_EVENTS_MESSAGES_UPSERT"),
        ("CONFIG_SESSION_PHONE_VERSON", "CONFIG_SESSION_PHONE_VERSION"),
        ("APPPORT", "APP_PORT"),
        ("app_port", "APP_PORT"),
        ("DB_USER", "POSTGRES_USER"),
        ("DB_NAME", "POSTGRES_DB"),
        ("DB_PASSWORD", "POSTGRES_PASSWORD"),
        ("DB_MEMORY_MB", "POSTGRES_MEMORY_MB"),
        ("POSTGRES_DATABASE", "POSTGRES_DB"),
        ("POSTGRES_EVO_PASSWORD", "EVOLUTION_POSTGRES_PASSWORD"),
        ("POSTGRES_EVO_DB", "EVOLUTION_POSTGRES_DB"),
        ("EVOLUTION_DB_USER", "EVOLUTION_POSTGRES_USER"),
        ("RABBITMQ_PASSWORD", "RABBITMQ_DEFAULT_PASS"),
        ("RABBITMQ_USERNAME", "RABBITMQ_DEFAULT_USER"),
        ("MINIO_PASSWORD", "MINIO_ROOT_PASSWORD"),
        ("PGADMIN_EMAIL", "PGADMIN_DEFAULT_EMAIL"),
        ("AUDIO_CONVERTER_KEY", "AUDIO_CONVERTER_API_KEY"),
    ],
)
def test_a_slip_and_another_spelling_lead_to_the_setting_that_was_meant(tmp_path: Path, slip: str, setting: str) -> None:
    assert problems(tmp_path, f"{slip}=x\n") == [f"{slip} (.env, line 1) is not a setting: did you mean {setting}?"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("MINIO_SECRET_KEY", "is not a setting: use MINIO_ROOT_PASSWORD."),
        ("MINIO_ACCESS_KEY", "is not a setting: use MINIO_ROOT_USER."),
        ("S3_SECRET_KEY", "is not a setting: use MINIO_ROOT_PASSWORD."),
        ("SERVER_URL", "is not a setting: use EVOLUTION_SERVER_URL."),
        ("API_KEY", "is not a setting: use AUTHENTICATION_API_KEY (of Evolution API), AUDIO_CONVERTER_API_KEY or APP_API_KEY."),
        ("COMPOSE_PROJECT_NAME", "is not a setting: use PROJECT_NAME."),
        ("CACHE_REDIS_URI", "is made by this program: set REDIS_PASSWORD instead."),
        ("RABBITMQ_URI", "is made by this program: set RABBITMQ_DEFAULT_USER and RABBITMQ_DEFAULT_PASS instead."),
        ("AUDIO_CONVERTER_URL", "is made by this program: set AUDIO_CONVERTER_PORT instead."),
        ("RABBITMQ_ENABLED", "is set by this program itself: leave it out."),
        ("DATABASE_PROVIDER", "is set by this program itself: leave it out."),
        ("POSTGRES_HOST", "is set by this program itself: leave it out."),
        ("POSTGRES_PASSWORD_FILE", "is not a setting: give the secret itself, as POSTGRES_PASSWORD."),
        ("REDIS_PORT", "that port is not published"),
        ("RABBITMQ_EVENTS_GROUP_UPDATE", "names no event that Evolution API 2.2.3 announces"),
        ("CHATWOOT_ENABLED", "is a variable of Evolution API that this program does not pass on: leave it out."),
        ("OPENAI_API_KEY", "is a variable of Evolution API that this program does not pass on: leave it out."),
        ("FEATURE", "a variable for the application's own use is written APP_ENV_FEATURE."),
        ("no.variable", "is not a setting: .env.example lists all."),
    ],
)
def test_a_usual_name_from_elsewhere_says_what_to_do_here(tmp_path: Path, name: str, words: str) -> None:
    (found,) = problems(tmp_path, f"\n\n{name}=x\n")
    assert found.startswith(f"{name} (.env, line 3) ")
    assert found.endswith(words) or words in found


def test_what_other_names_lead_to_is_a_setting_and_none_of_them_is_one_itself() -> None:
    tables = {**settings_names.OTHER_NAMES, **settings_names.MADE_HERE, **settings_names.APP_VARIABLES_SET_HERE}
    named = {name for words in tables.values() for name in re.findall(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*", re.sub(r"\(.*?\)", "", words))}
    assert {"TZ", "POSTGRES_DB", "MINIO_ROOT_PASSWORD"} <= named, "the pattern no longer finds what it looks for"
    assert sorted(named - NAMES) == []
    assert sorted((settings_names.OTHER_NAMES.keys() | settings_names.MADE_HERE.keys()) & NAMES) == []
    assert sorted(settings_names.OTHER_NAMES.keys() & settings_names.MADE_HERE.keys()) == []


def test_a_name_that_looks_secret_never_leads_to_a_setting_that_is_shown() -> None:
    parts = ["PASSWORD", "PASS", "SECRET", "KEY", "TOKEN", "API_KEY", "SECRET_KEY", "PASSPHRASE"]
    fronts = {"_".join(name.split("_")[:count]) for name in NAMES for count in (1, 2)} | {"DB", "PG", "EVO", "S3", "POSTGRES_EVO", "ADMIN"}
    names = [f"{front}_{part}" for front in fronts for part in parts if f"{front}_{part}" not in NAMES]
    astray = {name: meant for name in names if (meant := settings_names.meant(name, KNOWN)) and not KNOWN[meant]}
    assert len(names) > 500
    assert astray == {}
    assert settings_names.meant("BACKUP_TOKEN", {"BACKUP_TOKENS": False}) is None
    assert settings_names.meant("BACKUP_TOKEN", {"BACKUP_TOKENS": True}) == "BACKUP_TOKENS"


def test_no_two_settings_are_spellings_of_one() -> None:
    assert len({settings_names._words(name) for name in NAMES}) == len(NAMES), "one of the two would never be suggested"


@pytest.mark.parametrize(
    "name", ["LOG_LEVEL", "log_level", "ENVIRONMENT", "TZ", "DATABASE_URL", "EVOLUTION_API_KEY", "WEBHOOK_SECRET", "PATH"]
)
def test_a_variable_that_the_program_gives_the_application_can_not_be_changed_behind_its_back(tmp_path: Path, name: str) -> None:
    (found,) = problems(tmp_path, f"APP_ENV_{name}=x\n")
    assert f"would change what this program gives the application as {name.upper()}: " in found
    assert "set " in found or name == "PATH"


@pytest.mark.parametrize("name", ["", "A-B", "1ST"])
def test_a_variable_of_the_applications_own_needs_a_name_that_a_shell_takes(tmp_path: Path, name: str) -> None:
    (found,) = problems(tmp_path, f"APP_ENV_{name}=x\n")
    assert "names no variable: write letters, digits and _ after APP_ENV_" in found


def test_all_that_the_program_gives_the_application_is_known_to_the_check(tmp_path: Path) -> None:
    app = record(tmp_path, env="APP_API_KEY=x\n").container("app")
    given = set(app.environment) | {path.rpartition("/")[2].upper() for path in app.files}
    assert {"TZ", "LOG_LEVEL", "DATABASE_URL", "APP_API_KEY"} <= given
    assert given == settings_names.APP_VARIABLES_SET_HERE.keys() - {"PATH"}  # which comes with the image
