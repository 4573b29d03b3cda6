"""docs/simulator.md names all that the simulator has beside Evolution API's contract."""

from pathlib import Path

import pytest
from fastapi.routing import APIRoute

from simulator.faults import NAMES
from simulator.routers import conversation, faults, phone

_TEXT = (Path(__file__).resolve().parents[2] / "docs" / "simulator.md").read_text(encoding="utf-8")
_ROUTES = [route for module in (conversation, faults, phone) for route in module.router.routes if isinstance(route, APIRoute)]
_INSTANCE = "/simulator/instances/{instance_name}"


def _is_named(path: str) -> bool:
    """Whether it stands there, whole or as one more ending of the path before it."""
    return f"{path}`" in _TEXT or f"`{path.removeprefix(_INSTANCE)}`" in _TEXT


@pytest.mark.parametrize("route", _ROUTES, ids=lambda route: f"{route.name} {route.path}")
def test_every_request_is_named(route: APIRoute) -> None:
    assert _is_named(route.path)
    assert any(
        method in line for method in route.methods or () for line in _TEXT.splitlines() if route.path.removeprefix(_INSTANCE) in line
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_fault_is_named(name: str) -> None:
    assert f"| `{name}` |" in _TEXT
