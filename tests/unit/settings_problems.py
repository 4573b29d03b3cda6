"""What the tests of settings share."""

from pathlib import Path

from stack.settings import SettingsError, load


def problems(folder: Path, env: str = "", stack: str = "dev", **configuration: str) -> list[str]:
    """What is wrong with a stack that has this settings file and this configuration."""
    (folder / (".env" if stack == "dev" else f".env.{stack}")).write_text(env)
    try:
        load(folder, stack, configuration)
    except SettingsError as error:
        return error.problems
    return []
