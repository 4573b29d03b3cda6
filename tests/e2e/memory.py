"""The memory that a command takes, with everything that it starts."""

import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.e2e.project import Running

MIB = 1024 * 1024
_EACH_SECONDS = 0.05


class Peak:
    """Watches a command's process and its descendants while they run."""

    def __init__(self, run: Running) -> None:
        self._root = run.process.pid
        self._most: dict[int, int] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def mib(self) -> float:
        """The most that each process had in memory, all together: no less than what they had at any one time."""
        return sum(self._most.values()) / MIB

    def _watch(self) -> None:
        while not self._ended.wait(_EACH_SECONDS):
            self._look(self._root)

    def _look(self, pid: int) -> None:
        with suppress(OSError, ValueError):  # it ends meanwhile
            status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
            if "VmHWM" in status:
                self._most[pid] = max(self._most.get(pid, 0), int(status["VmHWM"].split()[0]) * 1024)
            for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                self._look(int(child))
