"""What people read about the project: `.env.example`, the READMEs and the pages on production say what the code does, and the same in both
languages."""

import re
from pathlib import Path

import pytest
import yaml
from dotenv import dotenv_values

from ops.backup.commands import BACKUPS
from stack.credentials import ACCEPTED_BY
from stack.reference import env_example, table
from stack.reference_pt import DESCRIPTIONS, SECTIONS_IN_PORTUGUESE
from stack.settings import NAMES, SECTIONS, load

PROJECT = Path(__file__).resolve().parents[2]
EXAMPLE = (PROJECT / ".env.example").read_text(encoding="utf-8")
LANGUAGES = {"README.md": "en", "README.pt-BR.md": "pt"}
READMES = {name: (PROJECT / name).read_text(encoding="utf-8") for name in LANGUAGES}
LANGUAGES_OF_PAGES = (("README.md", "README.pt-BR.md"), ("docs/production.md", "docs/producao.md"))
PAGES = {name: (PROJECT / name).read_text(encoding="utf-8") for pair in LANGUAGES_OF_PAGES for name in pair}

_MESSAGES_OF_THE_ENGINE = {"unable to pull image"}

each_readme = pytest.mark.parametrize("name", READMES)
each_page = pytest.mark.parametrize("name", PAGES)


def written_by_hand(name: str) -> str:
    """A page without its generated tables."""
    return re.sub(r"<!-- settings -->.*<!-- /settings -->", "", PAGES[name], flags=re.DOTALL)


def code_blocks(name: str) -> list[str]:
    return re.findall(r"^```.*?^```$", PAGES[name], flags=re.DOTALL | re.MULTILINE)


def prose(name: str) -> str:
    return re.sub(r"^```.*?^```$", "", written_by_hand(name), flags=re.DOTALL | re.MULTILINE)


def code_spans(name: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", prose(name))


def headings(name: str) -> list[tuple[int, str]]:
    return [(len(marks), title) for marks, title in re.findall(r"^(#+) (.+)$", prose(name), flags=re.MULTILINE)]


def anchors(name: str) -> set[str]:
    """The headings as GitHub makes anchors of them: in lower case, without punctuation, a dash for each blank."""
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for _, title in headings(name)}


def test_the_example_is_what_the_table_gives() -> None:
    assert env_example() == EXAMPLE, ".env.example is out of date: run `python -m stack.reference`"


@each_readme
def test_each_readme_has_the_tables_of_its_language(name: str) -> None:
    expected = f"<!-- settings -->\n{table(LANGUAGES[name])}\n<!-- /settings -->"
    assert expected in READMES[name], f"the settings in {name} are out of date: run `python -m stack.reference`"


def test_every_setting_and_section_is_described_in_portuguese_and_nothing_else_is() -> None:
    assert set(DESCRIPTIONS) == NAMES
    assert set(SECTIONS_IN_PORTUGUESE) == {(section.__doc__ or "").rstrip(".") for section in SECTIONS}
    assert [name for name, text in {**DESCRIPTIONS, **SECTIONS_IN_PORTUGUESE}.items() if not text.strip()] == []


def default_cells(language: str) -> dict[str, str]:
    """What the tables give as each setting's default."""
    return dict(re.findall(r"^\| `([A-Z0-9_]+)` \| ([^|]*?) ?\|", table(language), flags=re.MULTILINE))


def test_only_secrets_that_are_generated_are_called_so() -> None:
    cells = default_cells("en")
    generated = {name for name, cell in cells.items() if cell.startswith("generated")}
    assert generated == {name.upper() for name in ACCEPTED_BY} | {"EVOLUTION_API_KEY"}, "it is the key that Evolution API accepts"
    assert cells["APP_API_KEY"] == "generated in production"
    assert cells["BACKUP_KEY"] == ""
    assert "(APP_API_KEY in production only, BACKUP_KEY never)" in EXAMPLE


def test_in_portuguese_a_generated_secret_has_the_gender_of_its_word() -> None:
    genders = {"Senha": "gerada", "Chave": "gerada", "Segredo": "gerado"}
    cells = {name: cell for name, cell in default_cells("pt").items() if cell.startswith("gerad")}
    assert len(cells) > 9, "the pattern no longer finds what it looks for"
    assert {name: genders[DESCRIPTIONS[name].split()[0]] for name in cells} == {name: cell.split()[0] for name, cell in cells.items()}
    assert cells["APP_API_KEY"] == "gerada em produção"


@pytest.mark.parametrize(
    ("language", "words"), [("en", "Publish the event {} through RabbitMQ"), ("pt", "Publica o evento {} no RabbitMQ")]
)
def test_an_events_switch_names_it_as_evolution_publishes_it(language: str, words: str) -> None:
    switches = {"QRCODE_UPDATED": "qrcode.updated", "CALL": "call", "GROUP_PARTICIPANTS_UPDATE": "group-participants.update"}
    for switch, event in switches.items():
        assert re.search(
            rf"^\| `RABBITMQ_EVENTS_{switch}` \| `\w+` \| {re.escape(words.format(f'`{event}`'))} \|$", table(language), re.MULTILINE
        )


def test_the_example_names_every_setting_once_with_a_value() -> None:
    lines = re.findall(r"^#?([A-Z][A-Z0-9_]*)=(.*)$", EXAMPLE, flags=re.MULTILINE)
    assert sorted(name for name, _ in lines) == sorted(NAMES)
    assert [name for name, value in lines if not value.strip('"')] == [], "settings without an example value"


def test_a_copy_of_the_example_changes_nothing(tmp_path: Path) -> None:
    defaults = load(tmp_path, "dev", {})
    (tmp_path / ".env").write_text(EXAMPLE)
    assert dotenv_values(tmp_path / ".env"), "the copy sets nothing, so this test shows nothing"
    assert load(tmp_path, "dev", {}) == defaults


def test_a_copy_of_the_example_leaves_production_as_its_configuration_says(tmp_path: Path) -> None:
    document = yaml.safe_load((PROJECT / "Pulumi.prod.yaml").read_text(encoding="utf-8"))
    configuration = {name.removeprefix("whatsapp:"): value for name, value in document["config"].items()}
    (tmp_path / ".env.prod").write_text("")
    bare = load(tmp_path, "prod", configuration)
    (tmp_path / ".env.prod").write_text(EXAMPLE)
    assert load(tmp_path, "prod", configuration) == bare
    assert (bare.environment, bare.publish, bare.app_mount_source, bare.protect_volumes) == ("production", "public", False, True)


def test_a_copy_of_the_example_leaves_a_machine_without_a_registry_its_local_images(tmp_path: Path) -> None:
    (tmp_path / ".state").mkdir()
    (tmp_path / ".state" / "machine.env").write_text("IMAGES=local\n")
    (tmp_path / ".env").write_text(EXAMPLE)
    settings = load(tmp_path, "dev", {})
    assert settings.images == "local"
    assert [name for name in settings.model_fields_set if name.endswith("_image")] == [], "an image that is named is used as it is"
    assert settings.simulates_evolution


def test_every_example_value_is_a_good_one(tmp_path: Path) -> None:
    everything = re.sub(r"^#([A-Z][A-Z0-9_]*=)", r"\1", EXAMPLE, flags=re.MULTILINE)
    allowed = re.sub(r"^ENV_FILE=.*$", "", everything, flags=re.MULTILINE)  # belongs into the stack's configuration only
    (tmp_path / ".env").write_text(allowed)
    settings = load(tmp_path, "dev", {})
    assert {name.upper() for name in settings.model_fields_set} - {"STACK", "APP_VARIABLES", "ENCRYPTED"} == NAMES - {"ENV_FILE"}


@each_page
def test_every_make_target_that_a_page_names_exists(name: str) -> None:
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", (PROJECT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    code = "\n".join([*code_blocks(name), *code_spans(name)])
    named = set(re.findall(r"(?:^|\$\()make (?:-\w+ )*([a-z][a-z0-9-]*)", code, flags=re.MULTILINE))
    assert {"up", "test"} <= named, "the pattern no longer finds what it looks for"
    assert sorted(named - targets) == []


@each_page
def test_every_setting_that_a_page_names_exists(name: str) -> None:
    code = "\n".join([*code_blocks(name), *code_spans(name)])
    named = set(re.findall(r"^([A-Z][A-Z0-9]*_[A-Z0-9_]*[A-Z0-9])(?==|$)", code, flags=re.MULTILINE))
    others = {"APP_ENV_NAME", "BENCH_MESSAGES", "DOCKER_HOST", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"}
    assert "APP_PORT" in named, "the pattern no longer finds what it looks for"
    assert sorted(named - NAMES - others) == []


@each_readme
def test_every_message_in_the_troubleshooting_table_is_one_of_the_code(name: str) -> None:
    sources = [path for folder in ("ops", "stack", "src") for path in (PROJECT / folder).rglob("*") if path.suffix in {".py", ".sh"}]
    code = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    last_table = prose(name).rpartition("|---|---|\n")[2]
    messages = re.findall(r"^\| `([^`]+)` \|", last_table, flags=re.MULTILINE)
    parts = [part for message in messages if message not in _MESSAGES_OF_THE_ENGINE for part in message.split("…")]
    assert len(messages) > 10, "the pattern no longer finds what it looks for"
    assert [part for part in parts if part not in code] == []


@each_readme
def test_every_command_of_backups_and_their_page_are_in_each_readme(name: str) -> None:
    chapter = prose(name).partition("\n### Backups\n")[2].partition("\n## ")[0]
    blocks = "\n".join(code_blocks(name))
    assert [command for command in BACKUPS if f"\nmake {command.name}" not in blocks] == []
    assert "](docs/backup.md)" in chapter


@each_readme
@pytest.mark.parametrize(
    ("message", "way"),
    [
        ("has no such role", "make rename"),
        ("which can't read it", "make upgrade-postgres"),
        ("incorrect pass", "unset"),
        ("no QR code", "make restart"),
    ],
)
def test_the_troubleshooting_table_names_the_way_on(name: str, message: str, way: str) -> None:
    (row,) = [line for line in READMES[name].splitlines() if line.startswith("| `") and message in line]
    assert way in row


def test_a_database_that_does_not_start_names_the_commands_that_keep_its_data() -> None:
    script = (PROJECT / "stack" / "services" / "postgres_reconcile.sh").read_text(encoding="utf-8")
    ways = re.findall(r"\bfail \\\n((?:.*\\\n)?.*\n)", script)
    for message, way in (
        ("which can't read it", "make upgrade-postgres"),
        ("no such role", "make rename"),
        ("no such database", "make rename"),
    ):
        (told,) = [each for each in ways if message in each]
        assert way in told


@pytest.mark.parametrize("pages", LANGUAGES_OF_PAGES)
def test_both_languages_have_the_same_headings_code_and_commands(pages: tuple[str, str]) -> None:
    english, portuguese = pages
    assert [level for level, _ in headings(english)] == [level for level, _ in headings(portuguese)]
    assert code_blocks(english) == code_blocks(portuguese)
    translated = {"STACK=nome": "STACK=name", ".env.<nome>": ".env.<name>"}
    assert code_spans(english) == [translated.get(span, span) for span in code_spans(portuguese)]


@each_page
def test_links_lead_somewhere(name: str) -> None:
    links = [link.partition("#") for link in re.findall(r"\]\(([^)\s]+)\)", prose(name)) if not link.startswith("http")]
    targets = [((PROJECT / name).parent.joinpath(path).resolve() if path else PROJECT / name, anchor) for path, _, anchor in links]
    other = next(other for pair in LANGUAGES_OF_PAGES if name in pair for other in pair if other != name)
    assert (PROJECT / other, "") in targets, "the languages link to each other"
    assert [str(target) for target, _ in targets if not target.exists()] == []
    assert [anchor for target, anchor in targets if anchor and anchor not in anchors(str(target.relative_to(PROJECT)))] == []
