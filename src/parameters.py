"""What holds for the parameters behind the `?` of a path, beyond what each of them is."""

from collections import Counter

from fastapi import Depends, Request

from src.problems import InvalidPart, not_valid


async def _given_once(request: Request) -> None:
    """Refuse a parameter that comes more than once: FastAPI would take the last one and say nothing."""
    times = Counter(name for name, _ in request.query_params.multi_items())
    parts = [InvalidPart(pointer=f"query/{name}", detail="given more than once") for name, count in times.items() if count > 1]
    if parts:
        raise not_valid(parts)


GIVEN_ONCE = [Depends(_given_once)]
"""The dependencies of a route each of whose parameters has one value."""
