"""The settings: their layers, and one clear message for everything that can be wrong with them."""

import re
from pathlib import Path

import pytest

from stack.settings import SettingsError, load
from tests.unit.settings_problems import problems


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


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("APP_PORT=eighty", "APP_PORT = 'eighty' (.env, line 1)"),
        ("APP_PORT=70000", "is too large: write a number from 1 to 65535."),
        ("APP_PORT=0", "is too small: write a number from 1 to 65535."),
        ("APP_PORT=8000.5", "is not a whole number: write one from 1 to 65535."),
        ("APP_PORT=", "APP_PORT = '' (.env, line 1) is not a whole number"),
        ("APP_CPUS=two", "is not a number: write one from 0.05 to 256, as in 1.5."),
        ("APP_CPUS=nan", "is not a number"),
        ("APP_CPUS=0", "is too small: write a number from 0.05 to 256."),
        ("APP_CPUS=0.255", "is finer than a hundredth of a core: write two decimals at most"),
        ("PGADMIN_ENABLED=perhaps", "is neither true nor false: write one of the two."),
        ("LANGUAGE=pt", "is not one of its choices: write en, pt-BR or es."),
        ("POSTGRES_IMAGE=Postgres:16", "is not an image reference"),
        ("POSTGRES_IMAGE=postgres:", "is not an image reference"),
        ("POSTGRES_IMAGE=", "is not an image reference"),
        ("POSTGRES_IMAGE=registry.example:99999/postgres", "is not an image reference"),
        (f"POSTGRES_IMAGE={'a' * 256}", "is not an image reference"),
        (f"POSTGRES_IMAGE={'a1' * 32}", "is not an image reference"),
        ("EVOLUTION_SERVER_URL=http://${HOST}:8080", "refers to another variable, which is not filled in here"),
        ('POSTGRES_PASSWORD="pass${WORD}word"', "refers to another variable, which is not filled in here"),
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
        ("EVOLUTION=sim", "is not one of its choices: write api or simulator."),
        ("JUST_A_WORD", "is not NAME=value"),
        ("APP_PORT=8000\nAPP_PORT=8001", "is given before, at .env, line 1"),
        ("APP_PORT=8080", "APP_PORT (.env, line 1) and EVOLUTION_PORT (default) both take host port 8080"),
        ("APP_REPLICAS=81", "is too large: write a number from 1 to 32."),
        ("APP_PORT=65535\nAPP_REPLICAS=2", "leaves no room, for the 2 replicas of APP_REPLICAS (.env, line 2) take 65535 to 65536"),
        ("ENV_FILE=.env.other", "can't be set in the file that it names"),
        ("POSTGRES_VOLUME=redis_data", "POSTGRES_VOLUME (.env, line 1) is redis_data, a volume with other data"),
        (
            "POSTGRES_VOLUME=postgres_evo_data",
            "POSTGRES_VOLUME (.env, line 1) and EVOLUTION_POSTGRES_VOLUME (default) are both postgres_evo_data",
        ),
    ],
)
def test_bad_input_gets_one_message_with_its_place_and_mend(tmp_path: Path, line: str, words: str) -> None:
    found = problems(tmp_path, f"{line}\n")
    assert len(found) == 1, found
    assert words in found[0]


@pytest.mark.parametrize(("content", "why"), [(b"TZ=caf\xe9\n", "can't decode byte 0xe9"), (None, "Is a directory")])
@pytest.mark.parametrize(("stack", "file"), [("dev", ".env"), ("prod", ".env.prod")])
def test_a_settings_file_that_is_no_text_is_one_problem_in_words(
    tmp_path: Path, stack: str, file: str, content: bytes | None, why: str
) -> None:
    (tmp_path / file).mkdir() if content is None else (tmp_path / file).write_bytes(content)
    with pytest.raises(SettingsError) as refused:
        load(tmp_path, stack, {"ENVIRONMENT": "production"})
    (problem,) = refused.value.problems
    assert problem.startswith(f"{file} can't be read (")
    assert why in problem
    assert problem.endswith("make it a readable text file in UTF-8.")


def test_a_text_can_be_tried_before_it_is_written(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("APP_PORT=8001\n")
    assert load(tmp_path, "dev", {}, text="APP_PORT=8002\n").app_port == 8002
    with pytest.raises(SettingsError, match=r"APP_PORT = 'x' \(\.env, line 2\)"):
        load(tmp_path, "dev", {}, text="\nAPP_PORT=x\n")


def test_a_port_that_a_replica_takes_is_told_with_the_replicas(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, "APP_PORT=8078\nAPP_REPLICAS=5\n")
    assert found.startswith("APP_PORT (.env, line 1) and EVOLUTION_PORT (default) both take host port 8080, ")
    assert found.endswith("for the 5 replicas of APP_REPLICAS (.env, line 2) take 8078 to 8082: give one of them another.")


def test_more_replicas_than_their_database_takes_connections_for_are_refused(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, "APP_REPLICAS=30\n")
    assert found.startswith("APP_REPLICAS (.env, line 1) is 30 and POSTGRES_MAX_CONNECTIONS (default) is 100, too few for so many: ")
    assert found.endswith("raise POSTGRES_MAX_CONNECTIONS to 130 or more, or run fewer replicas.")
    assert problems(tmp_path, "APP_REPLICAS=30\nPOSTGRES_MAX_CONNECTIONS=130\n") == []


@pytest.mark.parametrize(
    ("refused", "follows"),
    [
        ("WEBHOOK_GLOBAL_URL=http://app:8000/x", "WEBHOOK_GLOBAL_ENABLED=true"),
        ("WEBHOOK_GLOBAL_ULR=http://app.internal:8000/x", "WEBHOOK_GLOBAL_ENABLED=true"),
        ("POSTGRES_PORT=abc", "EVOLUTION_POSTGRES_PORT=5432"),
        ("APP_REPLICAS=five", "EVOLUTION_PORT=8000\nAPP_PORT=7999"),
        ("EVOLUTION_POSTGRES_VOLUME=No", "POSTGRES_VOLUME=postgres_evo_data"),
        ("PROJECT_NAME=No", "TZ=UTC"),
    ],
)
def test_what_follows_from_a_refused_setting_is_not_told_too(tmp_path: Path, refused: str, follows: str) -> None:
    (found,) = problems(tmp_path, f"{refused}\n{follows}\n")
    assert found.startswith(refused.partition("=")[0])


def test_problems_are_in_the_order_in_which_people_find_them(tmp_path: Path) -> None:
    env = "ZZZ_UNKNOWN=1\n\n \nAPP_REPLICAS=two\nTZ=UTC\nPOSTGRES_PORT=5433\nAAA_UNKNOWN=1\nREDIS_PASSWORD=\nno assignment\nTZ=UTC\n"
    found = problems(tmp_path, env, APP_CPUS="many")
    places = [re.search(r"\.env, line (\d+)|Pulumi\.dev\.yaml", problem) for problem in found]
    assert [place and (place[1] or place[0]) for place in places] == ["1", "4", "6", "7", "8", "9", "10", "Pulumi.dev.yaml"]


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    found = problems(tmp_path, "APP_PORT=x\nREDIS_PASSWORD=\nNONSENSE_NAME=1\nPOSTGRES_PORT=5433\n", APP_CPUS="many")
    assert len(found) == 5, found


def test_a_refused_secret_is_never_shown(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, 'REDIS_PASSWORD="hunter two"\n')
    assert "hunter" not in problem


@pytest.mark.parametrize("line", ['REDIS_PASSWORD="hunter2', "REDIS_PASSWORD: hunter2", "hunter2", "REDIS_PASSWORD hunter2=two"])
def test_a_line_that_is_no_assignment_is_not_shown_for_it_may_be_part_of_a_secret(tmp_path: Path, line: str) -> None:
    found = problems(tmp_path, f"{line}\n")
    assert found
    assert not [problem for problem in found if "hunter" in problem]


def test_a_refused_value_that_the_configuration_keeps_encrypted_is_never_shown(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="would never be called") as raised:
        load(tmp_path, "dev", {"WEBHOOK_GLOBAL_URL": "http://app/hunter2"}, encrypted={"WEBHOOK_GLOBAL_URL"})
    assert "hunter2" not in str(raised.value)


def test_what_the_set_up_reads_before_there_is_a_pulumi_can_not_be_encrypted_in_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as raised:
        load(tmp_path, "dev", {"IMAGES": "local", "BACKUP_KEY": "x"}, encrypted={"IMAGES", "BACKUP_KEY"})
    assert raised.value.problems == [
        "IMAGES (Pulumi.dev.yaml) is encrypted, and is needed before that can be read: set it without --secret.",
    ]


def test_a_settings_file_that_the_configuration_names_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"\.env\.other is missing, and ENV_FILE \(Pulumi\.dev\.yaml\) names it"):
        load(tmp_path, "dev", {"ENV_FILE": ".env.other"})


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
    assert {name: value.get_secret_value() for name, value in load(tmp_path, "dev", {}).app_variables.items()} == {"FEATURE": "on"}


def test_the_applications_own_variables_do_not_show_where_settings_are_printed(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("APP_ENV_TOKEN=hunter2\n")
    assert "hunter2" not in repr(load(tmp_path, "dev", {}))


def test_a_project_can_be_named_to_adopt_its_volumes(tmp_path: Path) -> None:
    assert load(tmp_path, "dev", {"PROJECT_NAME": "legacy"}).project == "legacy"


@pytest.mark.parametrize("stack", ["Mine", "my.stack", "mine_", "a_-b", "a___b"])
def test_a_stacks_name_of_which_no_project_can_be_named_says_what_to_do(tmp_path: Path, stack: str) -> None:
    (found,) = problems(tmp_path, stack=stack)
    assert found.startswith(f"The stack's name, '{stack}', would make 'whatsapp-{stack}' the name of its Compose project, which can't be: ")
    assert "set PROJECT_NAME" in found
    assert not problems(tmp_path, "PROJECT_NAME=mine\n", stack=stack)


@pytest.mark.parametrize("stack", ["mine", "my-stack_2", "a--b", "2"])
def test_any_other_name_makes_a_stack(tmp_path: Path, stack: str) -> None:
    assert not problems(tmp_path, stack=stack)


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


def test_a_value_in_single_quotes_is_taken_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("POSTGRES_PASSWORD='pass${WORD}word'\n")
    assert load(tmp_path, "dev", {}).postgres_password.get_secret_value() == "pass${WORD}word"  # type: ignore[union-attr]


@pytest.mark.parametrize("reference", ["registry.example:5000/team/postgres:16", "localhost:5000/postgres", f"postgres@sha256:{'a1' * 32}"])
def test_references_as_the_engine_takes_them_are_taken(tmp_path: Path, reference: str) -> None:
    assert load(tmp_path, "dev", {"POSTGRES_IMAGE": reference}).postgres_image == reference
