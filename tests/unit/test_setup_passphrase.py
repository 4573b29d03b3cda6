"""The passphrase of a stack: always one, and the one that its secrets were encrypted with."""

import re
from pathlib import Path

import pytest

from ops.setup import passphrase
from ops.setup.errors import SetupError
from ops.setup.passphrase import DEVELOPMENT_PASSPHRASE, opens, passphrase_variables

FIXED = {"PULUMI_CONFIG_PASSPHRASE": DEVELOPMENT_PASSPHRASE}
COMMITTED = (Path(__file__).parents[2] / "Pulumi.dev.yaml").read_text()
SALT = re.search(r"^encryptionsalt: (.*)$", COMMITTED, re.MULTILINE)[1]  # type: ignore[index]
ANOTHER_SALT = "v1:c2FsdA==:v1:abc"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / ".state").mkdir()
    (tmp_path / "Pulumi.dev.yaml").write_text(COMMITTED)
    (tmp_path / "Pulumi.prod.yaml").write_text("config:\n  whatsapp:ENVIRONMENT: production\n")
    return tmp_path


@pytest.mark.parametrize("stack", ["dev", "somebody"])
def test_a_development_stack_needs_no_passphrase_of_its_own(project: Path, stack: str) -> None:
    assert passphrase_variables(project, stack, {}) == FIXED


def test_a_stack_that_only_its_env_file_calls_production_needs_a_passphrase_of_its_own(project: Path) -> None:
    (project / ".env.live").write_text("ENVIRONMENT=production\n")
    with pytest.raises(SetupError, match="none is given"):
        passphrase_variables(project, "live", {})
    assert passphrase_variables(project, "live", {"PULUMI_CONFIG_PASSPHRASE": "x"}) == {"PULUMI_CONFIG_PASSPHRASE": "x"}


def test_a_stack_that_was_made_with_the_fixed_passphrase_goes_on_with_it_whatever_its_env_file_says(project: Path) -> None:
    (project / ".env").write_text("ENVIRONMENT=production\n")
    assert passphrase_variables(project, "dev", {}) == FIXED


def test_an_env_file_that_calls_a_stack_development_is_believed(project: Path) -> None:
    (project / ".env.prod").write_text("ENVIRONMENT=development\n")
    assert passphrase_variables(project, "prod", {}) == FIXED


@pytest.mark.parametrize(
    "given", [{"PULUMI_CONFIG_PASSPHRASE": ""}, {"PULUMI_CONFIG_PASSPHRASE": "x"}, {"PULUMI_CONFIG_PASSPHRASE_FILE": "/x"}]
)
@pytest.mark.parametrize("stack", ["dev", "new"])
def test_what_the_shell_has_for_other_stacks_does_not_lock_a_development_stack(project: Path, stack: str, given: dict[str, str]) -> None:
    assert passphrase_variables(project, stack, given) == FIXED


@pytest.mark.parametrize("given", [{"PULUMI_CONFIG_PASSPHRASE": ""}, {"PULUMI_CONFIG_PASSPHRASE_FILE": "/x"}])
def test_a_development_stack_that_was_made_with_the_shells_passphrase_goes_on_with_it(project: Path, given: dict[str, str]) -> None:
    (project / "Pulumi.mine.yaml").write_text(f"encryptionsalt: {ANOTHER_SALT}\n")
    assert passphrase_variables(project, "mine", given) == given


def test_a_salt_tells_which_passphrase_it_was_made_with() -> None:
    assert opens(DEVELOPMENT_PASSPHRASE, SALT)
    assert not opens("", SALT)
    assert not opens(DEVELOPMENT_PASSPHRASE, ANOTHER_SALT)
    assert not opens(DEVELOPMENT_PASSPHRASE, "no salt at all")


def test_a_stack_without_the_shells_passphrase_costs_no_look_at_its_salt(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(passphrase, "opens")  # a fifth of a second
    assert passphrase_variables(project, "dev", {}) == FIXED
    assert passphrase_variables(project, "dev", FIXED) == FIXED, "what `make env` printed is known to be right"


def test_a_production_stack_without_a_passphrase_is_refused_with_the_ways_to_give_one(project: Path) -> None:
    with pytest.raises(SetupError) as raised:
        passphrase_variables(project, "prod", {})
    for way in ("PULUMI_CONFIG_PASSPHRASE,", "PULUMI_CONFIG_PASSPHRASE_FILE", ".state/passphrase.prod"):
        assert way in raised.value.mend, f"{way} is a way to mend it"


@pytest.mark.parametrize(
    ("variables", "content", "named"),
    [
        ({"PULUMI_CONFIG_PASSPHRASE": ""}, None, "PULUMI_CONFIG_PASSPHRASE is empty"),
        ({"PULUMI_CONFIG_PASSPHRASE": " "}, None, "PULUMI_CONFIG_PASSPHRASE is empty"),
        ({}, "", "passphrase.prod is empty"),
        ({}, "\n", "passphrase.prod is empty"),
        ({"PULUMI_CONFIG_PASSPHRASE_FILE": ""}, "", "passphrase.prod is empty"),
        ({"PULUMI_CONFIG_PASSPHRASE_FILE": "/nowhere"}, None, "/nowhere is empty, or not there"),
    ],
)
def test_an_empty_passphrase_of_a_production_stack_is_none(
    project: Path, variables: dict[str, str], content: str | None, named: str
) -> None:
    if content is not None:
        (project / ".state" / "passphrase.prod").write_text(content)
    with pytest.raises(SetupError, match="none is given") as raised:
        passphrase_variables(project, "prod", variables)
    assert named in raised.value.cause


def test_an_empty_variable_does_not_hide_the_passphrase_in_the_file(project: Path) -> None:
    file = project / ".state" / "passphrase.prod"
    file.write_text("secret\n")
    empty_variable = passphrase_variables(project, "prod", {"PULUMI_CONFIG_PASSPHRASE": ""})
    assert empty_variable == {"PULUMI_CONFIG_PASSPHRASE": "secret"}, "Pulumi would take the empty variable"
    empty_file = passphrase_variables(project, "prod", {"PULUMI_CONFIG_PASSPHRASE_FILE": ""})
    assert empty_file == {"PULUMI_CONFIG_PASSPHRASE_FILE": str(file)}


def test_a_passphrase_that_is_no_text_is_said_to_be_none(project: Path) -> None:
    (project / ".state" / "passphrase.prod").write_bytes(b"\xff\xfe")
    with pytest.raises(SetupError, match=r"passphrase\.prod can't be read"):
        passphrase_variables(project, "prod", {})


@pytest.mark.parametrize("name", ["PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"])
def test_the_passphrase_of_the_caller_wins_on_a_production_stack(project: Path, name: str) -> None:
    (project / ".state" / "passphrase.prod").write_text("from the file")
    (project / "elsewhere").write_text("from elsewhere")
    given = {name: str(project / "elsewhere")}
    assert passphrase_variables(project, "prod", {**given, "HOME": "/root"}) == given


def test_a_passphrase_file_in_the_state_serves_its_stack_alone(project: Path) -> None:
    file = project / ".state" / "passphrase.prod"
    file.write_text("secret")
    assert passphrase_variables(project, "prod", {}) == {"PULUMI_CONFIG_PASSPHRASE_FILE": str(file)}
    assert passphrase_variables(project, "dev", {}) == FIXED
    own = project / ".state" / "passphrase.dev"
    own.write_text("secret")
    assert passphrase_variables(project, "dev", {}) == {"PULUMI_CONFIG_PASSPHRASE_FILE": str(own)}


def test_what_make_env_printed_for_one_stack_does_not_encrypt_another(project: Path) -> None:
    with pytest.raises(SetupError):
        passphrase_variables(project, "prod", FIXED)
    file = project / ".state" / "passphrase.prod"
    file.write_text("secret\n")
    assert passphrase_variables(project, "prod", FIXED) == {"PULUMI_CONFIG_PASSPHRASE": "secret"}, (
        "Pulumi prefers the variable to the file, so the variable must be replaced"
    )
    assert passphrase_variables(project, "dev", {"PULUMI_CONFIG_PASSPHRASE_FILE": str(file)}) == FIXED
