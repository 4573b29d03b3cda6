"""Which cases can be compared with a real Evolution API, and the table that says so at the end of a run."""

from dataclasses import dataclass
from enum import Enum

import pytest

MARK = "needs"


class Need(Enum):
    """What a case needs beside a URL and a key: where a real API lacks it, the case isn't compared, for this reason."""

    PHONE = "needs a paired phone: name its instance in EVOLUTION_CONTRACT_PAIRED"
    LISTENER = "needs a listener that the API reaches: give EVOLUTION_CONTRACT_LISTENER=host:port of this machine"
    PHONES_HAND = "needs somebody's hand on the phone: only the simulator's phone is moved by a request"
    WHATSAPP_TIMING = "WhatsApp decides when, and whether, this comes"
    CONNECTING = "would make the API connect to WhatsApp: without a way there it tries again for ever, up to 90 times a second"
    SERVICES = "looks into RabbitMQ, MinIO or Redis, which a URL and a key don't give access to"
    ANOTHER_START = "needs an API that is started with other settings"
    UNPAIRING = "would log the paired phone out"
    EMPTY = "needs an API without any instance"


NEVER = frozenset(
    {
        Need.PHONES_HAND,
        Need.WHATSAPP_TIMING,
        Need.CONNECTING,
        Need.SERVICES,
        Need.ANOTHER_START,
        Need.UNPAIRING,
        Need.EMPTY,
    }
)
"""What a real API is never asked for."""


def needs(*wanted: Need) -> pytest.MarkDecorator:
    """Mark a case with what it needs. A case without this mark needs nothing, and is compared with every API."""
    return getattr(pytest.mark, MARK)(*wanted)  # type: ignore[no-any-return]


def needs_of(item: pytest.Item) -> list[Need]:
    return [need for mark in item.iter_markers(MARK) for need in mark.args]


@dataclass
class Case:
    """One row of the table."""

    title: str
    result: str
    why_not: str = ""


class Table:
    """Collects what became of each case."""

    def __init__(self) -> None:
        self._cases: dict[str, Case] = {}
        self._needs: dict[str, list[Need]] = {}

    def know(self, item: pytest.Item) -> None:
        title = item.name.removeprefix("test_").replace("_", " ")
        self._cases[item.nodeid] = Case(title, "not run")
        self._needs[item.nodeid] = needs_of(item)

    def note(self, report: pytest.TestReport) -> None:
        case = self._cases.get(report.nodeid)
        if case is None or (report.when != "call" and report.passed):
            return
        if report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            case.result, case.why_not = "not compared", reason.removeprefix("Skipped: ")
        elif report.failed:
            case.result = "DIFFERS"
        else:
            case.result = "same"

    def lines_of_a_real_run(self) -> list[str]:
        """Every case, with its result and, where it was not compared, the reason."""
        width = max((len(case.result) for case in self._cases.values()), default=0)
        return [
            f"{case.result:<{width}}  {case.title}" + (f"\n{'':<{width}}    {case.why_not}" if case.why_not else "")
            for case in self._cases.values()
        ]

    def lines_of_a_simulated_run(self) -> list[str]:
        """Only the cases that no real API, or not every one, is compared in; with the reasons."""
        lines: list[str] = []
        for need in Need:
            titles = [self._cases[node].title for node, wanted in self._needs.items() if need in wanted]
            if titles:
                lines += [f"{need.value}:", *(f"    {title}" for title in titles)]
        return lines

    def __len__(self) -> int:
        return len(self._cases)

    def compared_everywhere(self) -> int:
        """How many cases every real API is compared in."""
        return sum(1 for wanted in self._needs.values() if not wanted)
