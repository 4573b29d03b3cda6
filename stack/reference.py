"""What people read about the settings, made from their table: `.env.example` and the README's tables.

Run `python -m stack.reference` to write both anew; a test fails when they are not what the table gives.
"""

import re
import textwrap
from enum import Enum
from pathlib import Path

from pydantic.fields import FieldInfo

from stack.reference_pt import DESCRIPTIONS, SECTIONS_IN_PORTUGUESE
from stack.settings import SECTIONS, is_secret
from stack.settings_names import APP_VARIABLE_PREFIX

_BEGIN, _END = "<!-- settings -->", "<!-- /settings -->"
_HEAD = f"""\
# The settings of a stack, each with its default. Copy this file to .env (to .env.prod for the production stack) and change what you need:
#     cp .env.example .env
# A line that begins with #NAME= is decided elsewhere until you set it: a secret is generated and kept encrypted in the stack's state
# (APP_API_KEY in production only, BACKUP_KEY never); images follow the machine; what differs between development and production stands in
# Pulumi.<stack>.yaml; the rest are examples.
# A variable for the application's own use has {APP_VARIABLE_PREFIX} in front: {APP_VARIABLE_PREFIX}FEATURE=on gives it FEATURE=on.
# After a change, `make up` applies it to the containers that use it.
"""
_DECIDED_ELSEWHERE = frozenset({"environment", "publish", "protect_volumes", "app_mount_source", "images"})
"""What the stack's configuration or the set-up decides. The settings file wins over both, so a copy of the example must leave these alone;
and so must it leave the images, which are local ones where IMAGES=local unless a setting names another."""


_GENERATED_IN_PRODUCTION = frozenset({"app_api_key"})
_NEVER_GENERATED = frozenset({"backup_key"})
"""The secrets that are not simply generated when nobody gives them."""


def env_example() -> str:
    """The text of `.env.example`: every setting with its default, or an example where it has none."""
    blocks = [_HEAD]
    for section in SECTIONS:
        lines = [f"# --- {_title(section)} ---"]
        for name, field in section.model_fields.items():
            lines += [f"# {line}" for line in textwrap.wrap(_plain(field.description or "") + ".", 130)]
            lines.append(_assignment(name, field))
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def table(language: str) -> str:
    """The settings as Markdown tables, a section each, in `en` or `pt`."""
    portuguese = language == "pt"
    head = "| Nome | Padrão | Significado |\n|---|---|---|" if portuguese else "| Name | Default | Meaning |\n|---|---|---|"
    parts = []
    for section in SECTIONS:
        title = SECTIONS_IN_PORTUGUESE[_title(section)] if portuguese else _title(section)
        rows = [head]
        for name, field in section.model_fields.items():
            meaning = DESCRIPTIONS[name.upper()] if portuguese else field.description or ""
            default = _generated(name, meaning, portuguese) if is_secret(name) else f"`{_default(field)}`" if _default(field) else ""
            rows.append(f"| `{name.upper()}` | {default} | {meaning} |")
        parts.append(f"<details><summary>{title}</summary>\n\n" + "\n".join(rows) + "\n\n</details>")
    return "\n\n".join(parts)


def with_table(readme: str, language: str) -> str:
    """A README's text with the tables between its two marks replaced."""
    return re.sub(f"{_BEGIN}.*{_END}", lambda _: f"{_BEGIN}\n{table(language)}\n{_END}", readme, flags=re.DOTALL)


def _title(section: type) -> str:
    return (section.__doc__ or "").rstrip(".")


def _generated(name: str, meaning: str, portuguese: bool) -> str:
    """What becomes of a secret that nobody gives, in a word or three."""
    if name in _NEVER_GENERATED:
        return ""
    everywhere = name not in _GENERATED_IN_PRODUCTION
    if portuguese:  # where a password and a key are feminine, and a secret (`segredo`) is not
        word = "gerado" if meaning.startswith("Segredo") else "gerada"
        return word if everywhere else f"{word} em produção"
    return "generated" if everywhere else "generated in production"


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value.value if isinstance(value, Enum) else value)


def _assignment(name: str, field: FieldInfo) -> str:
    value = field.examples[0] if field.examples else _default(field)
    left_out = field.examples or name in _DECIDED_ELSEWHERE or name.endswith("_image")
    return f"{'#' if left_out else ''}{name.upper()}=" + (f'"{value}"' if " " in value else str(value))


def _plain(text: str) -> str:
    return text.replace("`", "")


def main() -> None:
    """Write `.env.example` and the README's tables."""
    project = Path(__file__).resolve().parents[1]
    (project / ".env.example").write_text(env_example(), encoding="utf-8")
    for name, language in (("README.md", "en"), ("README.pt-BR.md", "pt")):
        readme = project / name
        readme.write_text(with_table(readme.read_text(encoding="utf-8"), language), encoding="utf-8")


if __name__ == "__main__":
    main()
