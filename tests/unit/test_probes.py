"""A probe survives the way through a container: what Docker's health check can't hold is in a label."""

import pytest

from stack.probes import PROBE_LABEL, label, probe_of
from stack.spec import Probe

SECOND = 1_000_000_000
FULL = Probe(
    ("CMD", "ready"), limit=180, refused_exit_code=3, restart_exit_code=4, precondition=("bash", "-c", "port"), interval=60, timeout=20
)


def configuration(probe: Probe, labels: dict[str, str]) -> dict[str, object]:
    """What the engine gives back of a container that has the probe."""
    check = {
        "Test": list(probe.test),
        "Interval": probe.interval * SECOND,
        "Timeout": probe.timeout * SECOND,
        "StartPeriod": probe.limit * SECOND,
        "Retries": probe.retries,
    }
    return {"Healthcheck": check, "Labels": labels}


@pytest.mark.parametrize("probe", [FULL, Probe(("CMD-SHELL", "true"), limit=60), Probe(("CMD", "x"), limit=5, refused_exit_code=3)])
def test_a_containers_probe_is_the_one_that_it_was_made_with(probe: Probe) -> None:
    text = label(probe)
    assert probe_of(configuration(probe, {PROBE_LABEL: text} if text else {})) == probe


def test_a_probe_that_the_health_check_holds_needs_no_label() -> None:
    assert label(Probe(("CMD", "ready"), limit=60)) == ""


@pytest.mark.parametrize("check", [None, {}, {"Test": ["NONE"]}])
def test_a_container_without_a_health_check_has_no_probe(check: dict[str, object] | None) -> None:
    assert probe_of({"Healthcheck": check, "Labels": None}) is None
