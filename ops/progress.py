"""Tells a run of Pulumi as it goes: what is made, what waits, what failed; each thing once.

Pulumi's own display for pipes names resources by type tokens, prints a provider's error twice, and is silent while a service becomes ready.
Its event stream (`--json`) has everything that is needed to say it better.
"""

from __future__ import annotations

import re
import shlex
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ops.checkpoint import CONTAINER, IMAGE, NETWORK, STACK, VOLUME
from ops.console import complain, say

if TYPE_CHECKING:
    from collections.abc import Callable

_KINDS = {CONTAINER: "", IMAGE: "image ", NETWORK: "network ", VOLUME: "volume "}
"""What is told while it happens, and how it is introduced. The rest (passwords, components) takes no time that anybody would notice."""

_WORDS = {
    "create": ("creating", "created", "green"),
    "create-replacement": ("creating anew", "created anew", "yellow"),
    "delete-replaced": ("stopping the old one", "removed the old one", None),
    "update": ("updating", "updated", "yellow"),
    "delete": ("removing", "removed", None),
    "refresh": ("looking at", "looked at", None),
}
_KEPT = "kept, with its data"
_FOUND = "found, with its data"

_HIDDEN = "[secret]"
"""What Pulumi tells in place of a secret."""

BUILD_PRINTS = "what it prints: "
"""Stands before the command that repeats a failed build."""

_QUIET_SECONDS = 5.0
"""After so long without news, say what is being waited for; then after twice as long, and so on, up to the longest."""

_LONGEST_QUIET_SECONDS = 40.0

_GENERIC = re.compile(r"^(update|preview|destroy|refresh)( has)? (failed|cancell?ed)$")
_NESTING = re.compile(
    r"^(?:\d+ errors? occurred:\s*\*\s*|(?:creating|updating|deleting|refreshing) urn:\S+:\s+|sdk-v2/\S+ sdk\.helper_schema:\s*)"
)
_ECHO = re.compile(r":\s*provider=\w+@[\d.]+$")
_READY = re.compile(r"^(\S+) is ready\b")


@dataclass
class Progress:
    """One run, from its events.

    Attributes:
        volumes: names of the volumes that were there before the run.
        explain: makes of the text of a failure what the user is told.
        keeps_volumes: whether volumes that Pulumi lets go stay for good, and may be said to.
        failures: each failure once, as text for the user.
        steps: how long each step took: (what, seconds).
        outputs: the stack's outputs, secrets masked by Pulumi; empty until the run is through.
        changes: how many resources had which fate; empty until the run is through.
        succeeded: whether the run is through, and well.
    """

    volumes: frozenset[str] = frozenset()
    keeps_volumes: bool = True
    explain: Callable[[str], str] = str
    clock: Callable[[], float] = time.monotonic
    steps: list[tuple[str, float]] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    changes: dict[str, int] = field(default_factory=dict)
    succeeded: bool = False
    _open: dict[tuple[str, str], tuple[str, float]] = field(default_factory=dict)
    _unready: dict[str, float] = field(default_factory=dict)
    _failed: dict[str, list[str]] = field(default_factory=dict)
    _said: set[str] = field(default_factory=set)
    _program: list[str] = field(default_factory=list)
    _start: float = 0.0
    _last_line: float = 0.0
    _patience: float = _QUIET_SECONDS
    _checking: bool = False

    def __post_init__(self) -> None:
        self._start = self._last_line = self.clock()

    def event(self, event: dict[str, Any]) -> None:
        """Take in one engine event."""
        if begun := event.get("resourcePreEvent"):
            self._begin(begun["metadata"])
        elif ended := event.get("resOutputsEvent"):
            self._end(ended["metadata"])
        elif failed := event.get("resOpFailedEvent"):
            self._fail(failed["metadata"])
        elif message := event.get("diagnosticEvent"):
            self._message(message)
        elif summary := event.get("summaryEvent"):
            self.changes = dict(summary.get("resourceChanges") or {})
            self.succeeded = summary.get("result") == "succeeded"

    def tick(self) -> None:
        """Say what is waited for, when nothing was said for a while."""
        now = self.clock()
        if now - self._last_line < self._patience:
            return
        patience = min(2 * self._patience, _LONGEST_QUIET_SECONDS)
        self._say(f"  ... {now - self._start:.0f} s, {self._awaited()}", None)
        self._patience = patience

    def _awaited(self) -> str:
        busy: dict[str, list[str]] = {}
        for (urn, _), (doing, _) in self._open.items():
            if _type(urn) in _KINDS:
                busy.setdefault(doing, []).append(name(urn, _type(urn)))
        if busy:
            return "; ".join(f"{doing} {', '.join(subjects)}" for doing, subjects in busy.items())
        if self._unready:
            return f"until ready: {', '.join(self._unready)}"
        return "until services are ready" if self._checking else "still at work"

    def stopping(self, times: int) -> None:
        """The user wants to stop."""
        self._say("stopping cleanly; once more to stop at once" if times == 1 else "stopping at once", "yellow")

    def finish(self) -> None:
        """The run is through: whatever was waited for is settled, and what the program wrote to stderr is told unless it is a failure."""
        self._open.clear()
        self._unready.clear()
        if self.succeeded:
            for line in self._program:
                self._say(f"  {line}", "yellow")

    @property
    def failures(self) -> list[str]:
        """Each failure once: the provider's echo of itself and the engine's "update failed" only when nothing says more."""
        told = []
        for subject, messages in self._failed.items():
            distinct = list(dict.fromkeys(self.explain(plain(message)) for message in messages))
            told += [f"{subject}: {message}" if subject else message for message in distinct if not _GENERIC.match(message)]
        if self._program:
            told.append("\n".join(self._program))
        return told or [message for messages in self._failed.values() for message in dict.fromkeys(messages)]

    @property
    def changed(self) -> int:
        """How many resources were made, changed or removed."""
        return sum(count for fate, count in self.changes.items() if fate not in {"same", "read", "refresh"})

    def _begin(self, metadata: dict[str, Any]) -> None:
        if metadata["op"] not in _WORDS:
            return
        self._open[metadata["urn"], metadata["op"]] = (_words(metadata)[0], self.clock())
        if metadata["type"] in {CONTAINER, IMAGE} and not _is_silent(metadata):
            self._line(name(metadata["urn"], metadata["type"]), _words(metadata)[0] + _because(metadata), None)

    def _end(self, metadata: dict[str, Any]) -> None:
        urn, operation = metadata["urn"], metadata["op"]
        if metadata["type"] == STACK:
            self.outputs = (metadata.get("new") or {}).get("outputs") or {}
        self._checking = self._checking or (metadata["type"] == CONTAINER and operation != "refresh")
        begun = self._open.pop((urn, operation), None)
        if begun is None or metadata["type"] not in _KINDS or _is_silent(metadata):
            return
        seconds = self.clock() - begun[1]
        subject = name(urn, metadata["type"])
        _, done, colour = _words(metadata)
        if done == _KEPT and not self.keeps_volumes:
            return
        if metadata["type"] == VOLUME and _inputs(metadata).get("name") in self.volumes:
            done = _FOUND
        self.steps.append((f"{subject} {done}", seconds))
        self._line(subject, done if done in {_KEPT, _FOUND} else f"{done}, {seconds:.1f} s", colour)
        if metadata["type"] == CONTAINER and operation in {"create", "create-replacement"}:
            self._unready[subject] = self.clock()

    def _fail(self, metadata: dict[str, Any]) -> None:
        self._open.pop((metadata["urn"], metadata["op"]), None)
        subject = name(metadata["urn"], metadata["type"])
        self._line(subject, "failed", "red")
        if isinstance(build := _inputs(metadata).get("build"), dict):
            # The provider keeps the build's output to itself.
            self._failed.setdefault(subject, []).append(f"{BUILD_PRINTS}{build_command(build)}")

    def _message(self, message: dict[str, Any]) -> None:
        severity, text = message.get("severity", ""), message.get("message", "").strip()
        if severity == "debug" or not text:
            return
        if severity == "info#err":  # stderr of the program, line by line: a traceback of the official language host, or a library's warning
            self._program.append(message["message"].rstrip())
        elif severity == "error":
            urn = message.get("urn", "")
            subject = name(urn, _type(urn)) if urn and _type(urn) != STACK else ""
            self._failed.setdefault(subject, []).append(text)
        elif text not in self._said:
            self._said.add(text)
            if ready := _READY.match(text):
                self._ready(ready[1])
            else:
                self._say(f"  {text}", "yellow" if severity == "warning" else None)

    def _ready(self, service: str) -> None:
        begun = self._unready.pop(service, None)
        if begun is None:
            self._line(service, "ready", "green")
            return
        seconds = self.clock() - begun
        self.steps.append((f"{service} ready", seconds))
        self._line(service, f"ready, {seconds:.1f} s", "green")

    def _line(self, subject: str, text: str, colour: str | None) -> None:
        self._say(f"  {subject:<28} {text}", colour)

    def _say(self, text: str, colour: str | None) -> None:
        self._last_line, self._patience = self.clock(), _QUIET_SECONDS
        (complain if colour == "red" else say)(text, colour)


def name(urn: str, kind: str) -> str:
    """How a person calls the resource: its service, or what it is and its name."""
    return f"{_KINDS.get(kind, '')}{urn.rpartition('::')[2]}"


def _type(urn: str) -> str:
    """The resource's own type in its URN, without its parents'."""
    parts = urn.split("::")
    return parts[2].rpartition("$")[2] if len(parts) > 3 else ""  # urn:pulumi:STACK::PROJECT::TYPES::NAME


def _is_silent(metadata: dict[str, Any]) -> bool:
    """What is told only while it takes long: a look, and letting go of an image, which stays on the engine."""
    return metadata["op"] == "refresh" or (metadata["type"] == IMAGE and metadata["op"] in {"delete", "delete-replaced"})


def _words(metadata: dict[str, Any]) -> tuple[str, str, str | None]:
    """What is being done, what was done, and its colour."""
    doing, done, colour = _WORDS[metadata["op"]]
    if metadata["type"] == VOLUME and metadata["op"] == "delete" and (metadata.get("old") or {}).get("retainOnDelete"):
        return "letting go of", _KEPT, None
    if metadata["type"] == IMAGE and metadata["op"] in {"create", "create-replacement"}:
        return ("building", "built", colour) if _inputs(metadata).get("build") else ("fetching", "fetched", colour)
    return doing, done, colour


def _inputs(metadata: dict[str, Any]) -> dict[str, Any]:
    """What the program asked for."""
    return (metadata.get("new") or {}).get("inputs") or {}


def _because(metadata: dict[str, Any]) -> str:
    changed = metadata.get("diffs") or []
    return f" ({', '.join(changed)} changed)" if changed and metadata["op"] in {"create-replacement", "update"} else ""


def build_command(build: dict[str, Any]) -> str:
    """The command that repeats a build of the provider and shows what it prints."""
    words = ["DOCKER_BUILDKIT=1", "docker", "build", "--progress", "plain"]
    words += ["--network", build["networkMode"]] if build.get("networkMode") else []
    words += ["--target", build["target"]] if build.get("target") else []
    for key, value in (build.get("buildArgs") or {}).items():
        words += ["--build-arg", key if value == _HIDDEN else f"{key}={value}"]  # then the builder takes it from the environment
    for secret in build.get("secrets") or []:
        words += ["--secret", f"id={secret['id']},src={secret['src']}"]
    return shlex.join([*words, build["context"]])


def plain(message: str) -> str:
    """An error without the nesting that the provider's libraries wrap around it."""
    text = message.strip()
    while (inner := _ECHO.sub("", _NESTING.sub("", text)).strip()) != text:
        text = inner
    return text
