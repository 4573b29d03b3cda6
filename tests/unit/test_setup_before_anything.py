"""What only the user can mend is told before the set-up makes anything, and all of it at once."""

from pathlib import Path
from typing import NoReturn

import pytest

from ops.errors import OperatorError
from ops.setup import images, prepare

PRODUCTION = "config:\n  whatsapp:ENVIRONMENT: production\n"


class Began(Exception):  # noqa: N818 - the set-up did no wrong
    """The set-up began to make things."""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def begin(_project: Path) -> NoReturn:
        raise Began

    monkeypatch.setattr(images, "decide_source", begin)
    for name in ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "Pulumi.prod.yaml").write_text(PRODUCTION)
    return tmp_path


def stack_is_there(project: Path, stack: str) -> None:
    file = project / ".state" / ".pulumi" / "stacks" / "whatsapp" / f"{stack}.json"
    file.parent.mkdir(parents=True)
    file.write_text("{}")


def refusal(project: Path, stack: str) -> str:
    with pytest.raises(OperatorError) as refused:
        prepare(project, stack)
    return str(refused.value)


@pytest.mark.parametrize("made_before", [False, True])
def test_a_missing_passphrase_and_missing_settings_are_told_together(project: Path, made_before: bool) -> None:
    if made_before:
        stack_is_there(project, "prod")
    told = refusal(project, "prod")
    assert "have 2 problems; nothing was changed" in told
    assert ".env.prod is missing" in told
    assert "its secrets are encrypted with a passphrase, and none is given" in told
    assert ".state/passphrase.prod" in told, "the way to mend it"


def test_a_missing_passphrase_and_every_wrong_setting_are_told_together(project: Path) -> None:
    (project / ".env.prod").write_text("APP_PORT=x\nNONSENSE_NAME=1\n")
    assert "have 3 problems" in refusal(project, "prod")


def test_wrong_settings_of_a_new_stack_are_told_before_the_machine_is_prepared_for_it(project: Path) -> None:
    (project / ".env").write_bytes(b"TZ=caf\xe9\n")
    assert ".env can't be read" in refusal(project, "dev")


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_a_stack_with_all_that_it_needs_is_prepared(project: Path, stack: str) -> None:
    (project / ".env.prod").touch()
    (project / ".state").mkdir()
    (project / ".state" / "passphrase.prod").write_text("secret")
    with pytest.raises(Began):
        prepare(project, stack)


def test_the_settings_of_a_stack_that_is_there_are_left_to_the_program(project: Path) -> None:
    stack_is_there(project, "dev")
    (project / ".env").write_text("APP_PORT=x\n")
    with pytest.raises(Began):  # to read them takes a quarter of a second of every `up`
        prepare(project, "dev")


def test_what_an_encrypted_value_may_mend_is_not_told(project: Path) -> None:
    (project / "Pulumi.dev.yaml").write_text("config:\n  whatsapp:WEBHOOK_GLOBAL_URL: {secure: v1:x}\n")
    (project / ".env").write_text("WEBHOOK_GLOBAL_ENABLED=true\n")
    with pytest.raises(Began):
        prepare(project, "dev")
    (project / ".env").write_text("WEBHOOK_GLOBAL_ENABLED=true\nAPP_PORT=x\n")
    assert "have 1 problem;" in refusal(project, "dev")
