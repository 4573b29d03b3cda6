"""Log lines in Evolution's own form, with the simulator's name in them."""

import os
import sys
from datetime import datetime

from simulator.settings import Log

NAME = "Evolution API simulator"

_COLOURS = {"LOG": 32, "INFO": 34, "WARN": 33, "ERROR": 31, "VERBOSE": 37}


def say(line: str) -> None:
    """Print a line that no log level hides."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Journal:
    """Prints `[Evolution API simulator] pid - time  LEVEL  [context] text` for the levels that `LOG_LEVEL` names."""

    def __init__(self, settings: Log, context: str) -> None:
        self._settings = settings
        self._context = context

    def named(self, context: str) -> "Journal":
        """Give a journal with the same settings and another context."""
        return Journal(self._settings, context)

    def log(self, text: str) -> None:
        """For what an operator waits for."""
        self._print("LOG", text)

    def info(self, text: str) -> None:
        """For a step that was done."""
        self._print("INFO", text)

    def warn(self, text: str) -> None:
        """For what may surprise."""
        self._print("WARN", text)

    def error(self, text: str) -> None:
        """For a failure."""
        self._print("ERROR", text)

    def verbose(self, text: str) -> None:
        """For details."""
        self._print("VERBOSE", text)

    def _print(self, level: str, text: str) -> None:
        if level not in self._settings.levels:
            return
        now = datetime.now().astimezone().strftime("%a %b %d %Y %H:%M:%S")
        line = f"[{NAME}] {os.getpid()} - {now}  {level}  [{self._context}] {text}"
        say(f"\x1b[{_COLOURS[level]}m{line}\x1b[0m" if self._settings.colour else line)
