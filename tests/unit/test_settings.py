"""The settings: their layers, and one clear message for everything that can be wrong with them."""

from pathlib import Path

import pytest

from stack.settings import SettingsError, load


def problems(folder: Path, env: str = "", stack: str = "dev", **configuration: str) -> list[str]:
    """What is wrong with a stack that has this settings file and this configuration."""
    (folder / (".env" if stack == "dev" else f".env.{stack}")).write_text(env)
    try:
        load(folder, stack, configuration)
    except SettingsError as error:
        return error.problems
    return []


def test_nothing_need_be_set(tmp_path: Path) -> None:
    settings = load(tmp_path, "dev", {})
    assert (settings.project, settings.app_port, settings.postgres_password) == ("whatsapp-dev", 8000, None)


def test_the_settings_file_wins_over_the_stack_and_the_stack_over_the_machine_and_that_over_the_default(tmp_path: Path) -> None:
    (tmp_path / ".state").mkdir()
    (tmp_path / ".state" / "machine.env").write_text("IMAGES=local\nAPP_PORT=8001\nEVOLUTION_PORT=8101\n")
    (tmp_path / ".env").write_text("APP_PORT=8003\n")
    settings = load(tmp_path, "dev", {"APP_PORT": "8002", "EVOLUTION_PORT": "8102"})
    assert (settings.app_port, settings.evolution_port, settings.images) == (8003, 8102, "local")


def test_the_shell_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_PORT", "9999")
    monkeypatch.setenv("POSTGRES_USER", "stray")
    assert load(tmp_path, "dev", {}).app_port == 8000
    assert problems(tmp_path, "POSTGRES_DB=${POSTGRES_USER}\n"), "a reference to the shell is no value"


def test_an_unknown_name_suggests_the_nearest_known_one(tmp_path: Path) -> None:
    assert problems(tmp_path, "POSTGRES_PASWORD=x\n") == [
        "POSTGRES_PASWORD (.env, line 1) is not a setting: did you mean POSTGRES_PASSWORD?"
    ]


def test_a_variable_that_this_program_makes_says_what_to_set_instead(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "\n\nCACHE_REDIS_URI=redis://localhost\n")
    assert problem == "CACHE_REDIS_URI (.env, line 3) is made by this program: set REDIS_PASSWORD instead."


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("APP_PORT=eighty", "APP_PORT = 'eighty' (.env, line 1)"),
        ("APP_PORT=70000", "65535"),
        ("APP_PORT=0", "greater than or equal to 1"),
        ("PGADMIN_ENABLED=perhaps", "boolean"),
        ("POSTGRES_IMAGE=Postgres:16", "is not an image reference"),
        ("POSTGRES_IMAGE=postgres:", "is not an image reference"),
        ("POSTGRES_IMAGE=", "is not an image reference"),
        ("POSTGRES_PASSWORD=", "is empty"),
        ("POSTGRES_PASSWORD='two words'", "holds characters that the images can't take"),
        ("POSTGRES_PASSWORD=ação", "holds characters that the images can't take"),
        ("MINIO_ROOT_PASSWORD=seven77", "is too short: MinIO takes 8"),
        ("POSTGRES_USER=pg_admin", "is a name that PostgreSQL keeps for itself"),
        ("POSTGRES_DB=My-Db", "is not a plain SQL name"),
        ("TZ=Mars/Base", "is not a time zone"),
        ("WEBHOOK_GLOBAL_ENABLED=true", "needs WEBHOOK_GLOBAL_URL"),
        ("CONFIG_SESSION_PHONE_VERSION=latest", "is not a WhatsApp Web version"),
        ("APP_REPLICAS=0", "APP_REPLICAS"),
        ("APP_MEMORY_MB=lots", "APP_MEMORY_MB"),
        ("EVOLUTION=sim", "'api' or 'simulator'"),
        ("JUST_A_WORD", "is not NAME=value"),
        ("APP_PORT=8000\nAPP_PORT=8001", "is given before, at .env, line 1"),
        ("APP_PORT=8080", "APP_PORT (.env, line 1) and EVOLUTION_PORT (default) both take host port 8080"),
        ("APP_REPLICAS=81", "less than or equal to 32"),
        ("APP_PORT=8079\nAPP_REPLICAS=2", "both take host port 8080"),
        ("APP_PORT=65535\nAPP_REPLICAS=2", "leaves no room for 2 replicas"),
        ("ENV_FILE=.env.other", "can't be set in the file that it names"),
    ],
)
def test_bad_input_gets_one_message_with_its_place_and_mend(tmp_path: Path, line: str, words: str) -> None:
    found = problems(tmp_path, f"{line}\n")
    assert len(found) == 1, found
    assert words in found[0]


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    found = problems(tmp_path, "APP_PORT=x\nREDIS_PASSWORD=\nNONSENSE_NAME=1\nPOSTGRES_PORT=5433\n", APP_CPUS="many")
    assert len(found) == 5, found


def test_a_refused_secret_is_never_shown(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, 'REDIS_PASSWORD="hunter two"\n')
    assert "hunter" not in problem


def test_production_needs_settings_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"\.env\.prod is missing: a production stack has settings of its own"):
        load(tmp_path, "prod", {"ENVIRONMENT": "production", "ENV_FILE": ".env.prod"})


def test_production_does_not_read_the_settings_of_development(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("APP_PORT=8001\n")
    (tmp_path / ".env.prod").write_text("APP_PORT=8002\n")
    assert load(tmp_path, "prod", {"ENVIRONMENT": "production"}).app_port == 8002


def test_ports_that_are_not_published_do_not_clash(tmp_path: Path) -> None:
    assert not problems(tmp_path, "POSTGRES_PORT=8000\n", PUBLISH="public")


def test_the_application_gets_variables_of_its_own(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("APP_ENV_FEATURE=on\n")
    assert load(tmp_path, "dev", {}).app_variables == {"FEATURE": "on"}


def test_a_project_can_be_named_to_adopt_its_volumes(tmp_path: Path) -> None:
    assert load(tmp_path, "dev", {"PROJECT_NAME": "legacy"}).project == "legacy"


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("127.0.0.1", "localhost"),
        ("::1", "localhost"),
        ("0.0.0.0", "localhost"),  # noqa: S104
        ("::", "localhost"),
        ("127.0.0.2", "127.0.0.2"),
        ("192.168.1.10", "192.168.1.10"),
        ("fd00:0::0001", "[fd00::1]"),
    ],
)
def test_urls_have_the_host_on_which_ports_are_published(tmp_path: Path, address: str, host: str) -> None:
    settings = load(tmp_path, "dev", {"BIND_ADDRESS": address})
    assert settings.public_host() == host


def test_an_address_is_given_to_the_engine_as_it_gives_it_back(tmp_path: Path) -> None:
    assert load(tmp_path, "dev", {"BIND_ADDRESS": "FD00:0::0001"}).bind_address == "fd00::1", "any other form is drift at every refresh"
