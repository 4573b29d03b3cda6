"""The folder of backups: which there are, which of them this program wrote, and which may go.

A list beside the backups (`.backups.json`) says what this program wrote there. Nothing else is ever removed: not a file that was put
there by hand, not a copy under another name, not a backup that was changed since.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ops.backup import verify
from ops.backup.encryption import ENDING
from ops.backup.errors import ArchiveError
from ops.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ops.backup.manifest import Header

LIST = ".backups.json"
ENDINGS = (".tar", f".tar{ENDING}")
PARTIAL = ".partial-"
"""How the name of a backup begins that is still being written."""


@dataclass(frozen=True)
class Entry:
    """A backup.

    Attributes:
        name: of its file.
        created: when it was made, in ISO 8601; empty where that can't be known.
        stack: whose it is; empty where that can't be known.
        project: Compose project name of that stack.
        size: bytes.
        modified: of the file, in nanoseconds.
        encrypted: whether it is.
        verified: when all of it was last read and found whole, in ISO 8601; empty for never.
        ours: whether this program wrote it here, and it is as it was.
    """

    name: str
    created: str
    stack: str
    project: str
    size: int
    modified: int
    encrypted: bool
    verified: str = ""
    ours: bool = False


class Shelf:
    """A folder of backups."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def entries(self) -> list[Entry]:
        """All backups in the folder, newest first; those of which nothing is known last."""
        written = self._written()
        found = []
        for file in sorted(self.folder.glob("*.tar*")) if self.folder.is_dir() else ():
            if file.name.endswith(ENDINGS) and file.is_file() and not file.name.startswith("."):
                status = file.stat()
                known = written.get(file.name)
                if known and (known.size, known.modified) == (status.st_size, status.st_mtime_ns):
                    found.append(replace(known, ours=True))
                else:
                    found.append(_described(file, status))
        return sorted(found, key=lambda each: (each.created, each.name), reverse=True)

    def put(self, written: Path, name: str, header: Header, *, encrypted: bool) -> None:
        """Give a backup that was just written and verified its name, and remember it.

        It is in the list first: killed between the two, the list names a file that isn't there, and the next backup strikes that out. The
        other way round there would be a backup that is never counted, and never goes.

        Args:
            written: the file as it is called until now, in this folder.
            name: what it is to be called.
            header: of the backup.
            encrypted: whether it is.
        """
        status = written.stat()
        entry = Entry(
            name=name,
            created=header.created.isoformat(),
            stack=header.stack,
            project=header.project,
            size=status.st_size,
            modified=status.st_mtime_ns,
            encrypted=encrypted,
            verified=_now(),
        )
        with self._locked():
            self._remember({**self._there(), name: entry})
            written.rename(self.folder / name)

    def verified(self, file: Path, *, whole: bool) -> None:
        """Remember that a backup was read to its end just now, and whether it was found whole; where the list can't be written, nothing."""
        if not (self.folder / LIST).is_file():
            return  # nothing here is ours
        with suppress(OSError), self._locked():
            written = self._there()
            known, status = written.get(file.name), file.stat()
            if known and (known.size, known.modified) == (status.st_size, status.st_mtime_ns):
                self._remember({**written, file.name: replace(known, verified=_now() if whole else "")})

    def prune(self, project: str, stack: str, keep: int, days: int) -> list[str]:
        """Remove the stack's backups that are too many or too old; their names."""
        with self._locked():
            doomed = too_many([each for each in self.entries() if (each.project, each.stack) == (project, stack)], keep, days)
            for entry in doomed:
                (self.folder / entry.name).unlink(missing_ok=True)
            if doomed:
                gone = {entry.name for entry in doomed}
                self._remember({name: entry for name, entry in self._there().items() if name not in gone})
        return [entry.name for entry in doomed]

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.folder / f"{LIST}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _written(self) -> dict[str, Entry]:
        """What the list says; nothing where there is none, or none that can be read: then nothing is ours."""
        try:
            listed = json.loads((self.folder / LIST).read_text(encoding="utf-8"))
            return {each["name"]: Entry(**each) for each in listed["backups"]}
        except (OSError, ValueError, LookupError, TypeError):
            return {}

    def _there(self) -> dict[str, Entry]:
        """What the list says of files that are there."""
        return {name: entry for name, entry in self._written().items() if (self.folder / name).is_file()}

    def _remember(self, entries: dict[str, Entry]) -> None:
        listed = [asdict(entry) for _, entry in sorted(entries.items())]
        with tempfile.NamedTemporaryFile("w", dir=self.folder, prefix=LIST, delete=False, encoding="utf-8") as file:
            json.dump({"backups": listed}, file, indent=1)
        Path(file.name).replace(self.folder / LIST)


def too_many(entries: Iterable[Entry], keep: int, days: int, now: datetime | None = None) -> list[Entry]:
    """Which backups of a stack may go: those behind the newest `keep`, and those older than `days`; 0 sets no limit.

    Only what this program wrote counts and goes. The newest that was found whole stays, whatever its age.
    """
    ours = sorted((each for each in entries if each.ours), key=lambda each: each.created, reverse=True)
    newest = next((each for each in ours if each.verified), None)
    oldest = (now or datetime.now(UTC)) - timedelta(days=days)
    return [
        each
        for number, each in enumerate(ours)
        if each is not newest and ((keep and number >= keep) or (days and datetime.fromisoformat(each.created) < oldest))
    ]


@contextmanager
def new_file(path: Path, finish: Callable[[Path], object]) -> Iterator[IO[bytes]]:
    """A file to write, which takes its name only when it is whole and on the disk; before that nothing looks like it.

    What an earlier run that was killed left in the same folder is removed.

    Args:
        path: what it will be called.
        finish: what gives it that name: it is called with the name that the file has until then.

    Raises:
        OperatorError: it can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _sweep(path.parent)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=PARTIAL, delete=False) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield file.file
                file.flush()
                os.fsync(file.fileno())
                finish(Path(file.name))
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
        _sync_folder(path.parent)
    except OSError as error:
        raise OperatorError(
            f"{path} can't be written.", f"{error.strerror or error}", "Make room, or give another folder: DIR=... or BACKUP_DIR."
        ) from error


def _sweep(folder: Path) -> None:
    """Remove half-written files that nobody writes any more."""
    for file in folder.glob(f"{PARTIAL}*"):
        with file.open("rb") as left:
            try:
                fcntl.flock(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue  # its writer is alive
            file.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _described(file: Path, status: os.stat_result) -> Entry:
    """A file that this program did not write here, as far as it says what it is."""
    unknown = Entry(file.name, "", "", "", status.st_size, status.st_mtime_ns, encrypted=False)
    try:
        with file.open("rb") as raw:
            if verify.is_encrypted(raw):
                return replace(unknown, encrypted=True)
            raw.seek(0)
            header = verify.read_header(raw)
    except (ArchiveError, OSError, StopIteration):
        return unknown
    return replace(unknown, created=header.created.isoformat(), stack=header.stack, project=header.project)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
