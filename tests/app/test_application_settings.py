"""Settings: every problem at once, in words, and no secret shown."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from src.settings import Environment, EventsVia, LogLevel, SettingsError, load_settings

ROOT = Path(__file__).parent.parent.parent
NAMES = ("ENVIRONMENT", "TZ", "LOG_LEVEL", "EVOLUTION_API_URL", "EVOLUTION_API_KEY", "DATABASE_URL")
OTHERS = (
    "APP_API_KEY",
    "EVENTS_VIA",
    "OUTBOX_CONCURRENCY",
    "OUTBOX_GIVE_UP_HOURS",
    "RABBITMQ_EXCHANGE",
    "RABBITMQ_URL",
    "WEBHOOK_SECRET",
    "WEBHOOK_URL",
)
GOOD_URL = "postgresql://app:a%2Fpassword@db:5432/app"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES + OTHERS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    (tmp_path / "database_url").write_text(f"{GOOD_URL}\n")
    (tmp_path / "evolution_api_key").write_text("a-key\n")
    return tmp_path


def test_secrets_come_from_files_and_the_rest_has_defaults(secrets: Path) -> None:
    settings = load_settings(secrets)
    assert settings.database_url.get_secret_value() == GOOD_URL
    assert settings.evolution_api_key.get_secret_value() == "a-key"
    assert (settings.environment, settings.log_level, settings.tz) == (Environment.PRODUCTION, LogLevel.INFO, "UTC")
    assert str(settings.evolution_api_url) == "http://evolution-api:8080/"


def test_variables_are_read_in_any_case_and_win_over_files(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVOLUTION_API_KEY", "another-key")
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    monkeypatch.setenv("ENVIRONMENT", "development")
    settings = load_settings(secrets)
    assert settings.evolution_api_key.get_secret_value() == "another-key"
    assert (settings.log_level, settings.environment) == (LogLevel.DEBUG, Environment.DEVELOPMENT)


def test_secrets_do_not_show_in_the_settings_text(secrets: Path) -> None:
    shown = repr(load_settings(secrets))
    assert "password" not in shown
    assert "a-key" not in shown


def test_all_problems_are_named_at_once_with_their_source_and_without_their_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "staging")
    monkeypatch.setenv("TZ", "Mars/Olympus")
    monkeypatch.setenv("LOG_LEVEL", "loud")
    monkeypatch.setenv("EVOLUTION_API_URL", "evolution-api:8080")
    monkeypatch.setenv("DATABASE_URL", "mysql://app:hidden-password@db/app")
    with pytest.raises(SettingsError) as raised:
        load_settings(tmp_path)
    message = str(raised.value)
    assert [name for name in NAMES if f"  {name}: " not in message] == []
    assert f"EVOLUTION_API_KEY: missing. It comes from the file {tmp_path}/evolution_api_key or the variable EVOLUTION_API_KEY" in message
    assert "Mars/Olympus" in message
    assert "hidden-password" not in message


@pytest.mark.parametrize(
    "url",
    [
        "",
        "db:5432/app",
        "postgresql://db:5432/app",
        "postgresql://app:x@db:port/app",
        "postgresql://app:x@db:5432",
        f"{GOOD_URL}?sslmode=off",
    ],
)
def test_a_database_url_that_could_not_work_is_refused(url: str, secrets: Path) -> None:
    (secrets / "database_url").write_text(url)
    with pytest.raises(SettingsError, match=r"DATABASE_URL: not .*postgresql://<user>:<password>@<host>"):
        load_settings(secrets)


@pytest.mark.parametrize(("key", "why"), [("", "empty"), ("chave-é", "no HTTP header"), ("two\nlines", "no HTTP header")])
def test_a_key_that_no_header_can_carry_is_refused(key: str, why: str, secrets: Path) -> None:
    (secrets / "evolution_api_key").write_text(key)
    with pytest.raises(SettingsError, match=why):
        load_settings(secrets)


@pytest.mark.parametrize(
    "url",
    [
        "rabbitmq:5672",
        "http://app:hidden@rabbitmq",
        "amqp://rabbitmq:5672/",
        "amqp://app@rabbitmq",
        "amqp://app:hidden@",
        "amqp://app:hidden@h:port/",
    ],
)
def test_a_rabbitmq_url_that_could_not_work_is_refused_and_not_shown(url: str, secrets: Path) -> None:
    (secrets / "rabbitmq_url").write_text(url)
    with pytest.raises(SettingsError, match=r"RABBITMQ_URL: not .*amqp://<user>:<password>@<host>") as raised:
        load_settings(secrets)
    assert f"the file {secrets}/rabbitmq_url or the variable RABBITMQ_URL" in str(raised.value)
    assert "hidden" not in str(raised.value)


def test_optional_secrets_that_are_empty_count_as_absent(secrets: Path) -> None:
    for name in ("rabbitmq_url", "webhook_secret", "app_api_key"):
        (secrets / name).write_text("")
    settings = load_settings(secrets)
    assert (settings.rabbitmq_url, settings.webhook_secret, settings.app_api_key) == (None, None, None)


def test_events_by_webhook_need_a_secret(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENTS_VIA", "Webhook")
    with pytest.raises(SettingsError, match="EVENTS_VIA=webhook needs WEBHOOK_SECRET"):
        load_settings(secrets)
    (secrets / "webhook_secret").write_text("a-secret")
    assert load_settings(secrets).events_via is EventsVia.WEBHOOK


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OUTBOX_CONCURRENCY", "0"),
        ("OUTBOX_CONCURRENCY", "many"),
        ("OUTBOX_GIVE_UP_HOURS", "0"),
        ("EVENTS_VIA", "pigeon"),
        ("RABBITMQ_EXCHANGE", ""),
        ("WEBHOOK_URL", "app:8000"),
        ("APP_API_KEY", "chave-é"),
        ("WEBHOOK_SECRET", "two\nlines"),
    ],
)
def test_a_wrong_value_is_named(name: str, value: str, secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"  {name}: "):
        load_settings(secrets)


@pytest.mark.parametrize("command", [["-m", "tasks.migrate"], ["-m", "scripts.smoke"], ["-m", "uvicorn", "src.main:app"]])
def test_a_process_with_bad_settings_ends_with_exit_code_1_and_no_traceback(command: list[str]) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in NAMES} | {"TZ": "Nowhere"}
    ended = subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert all(name in ended.stderr for name in ("DATABASE_URL", "EVOLUTION_API_KEY", "TZ"))
    assert "Traceback" not in ended.stdout + ended.stderr
