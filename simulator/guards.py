"""The guards before each route, in 2.2.3's order: the instance exists (404), the name is free (403), the key is right (401).

They take nothing but the request: each dependency of a dependency costs time, and these run with every message.
"""

from typing import Annotated, Any, cast
from urllib.parse import unquote

from fastapi import Depends, Request

from simulator.errors import forbidden, internal_error, not_found, unauthorized
from simulator.runtime import Simulator
from simulator.store import StoreError


async def running(request: Request) -> Simulator:
    """Give the running simulator."""
    return _running(request)


Running = Annotated[Simulator, Depends(running)]


async def instance_name(request: Request) -> str:
    """Give the instance's name from the path, unescaped: the path is routed as it was sent."""
    return _name(request)


InstanceName = Annotated[str, Depends(instance_name)]


async def json_body(request: Request) -> dict[str, Any]:
    """Give the request's body; one that is no object counts as empty."""
    body = request.state.body
    return body if isinstance(body, dict) else {}


Body = Annotated[dict[str, Any], Depends(json_body)]


async def instance_exists(request: Request) -> None:
    """404 for an unknown instance, whatever the key."""
    name = _name(request)
    if not await _exists(_running(request), name):
        raise not_found(f'The "{name}" instance does not exist')


async def name_is_free(request: Request) -> None:
    """403 for a name in use, whatever the key."""
    body = await json_body(request)
    name = body.get("instanceName")
    if "instanceName" in body and not isinstance(name, str):
        raise internal_error([f"PrismaClientValidationError: Argument `name`: Invalid value provided. Expected String, provided {name!r}."])
    if await _exists(_running(request), name):
        raise forbidden(f'This name "{"undefined" if name is None else name}" is already in use.')


async def global_key(request: Request) -> None:
    """401 unless the header `apikey` holds the global key."""
    if _key(request) != _running(request).settings.api_key:
        raise unauthorized()


async def global_key_or_token(request: Request) -> None:
    """401 unless the header `apikey` holds the global key or the instance's own token."""
    simulator, key = _running(request), _key(request)
    if key == simulator.settings.api_key:
        return
    try:
        token = await simulator.store.token_of(_name(request))
    except StoreError:
        token = None
    if key != token:
        raise unauthorized()


async def global_key_or_any_token(request: Request) -> None:
    """401 unless the header `apikey` holds the global key or some instance's token; for the list of instances."""
    simulator, key = _running(request), _key(request)
    if key == simulator.settings.api_key:
        return
    try:
        known = simulator.settings.database.save.instance and await simulator.store.names_by_token(key)
    except StoreError:
        known = False
    if not known:
        raise unauthorized()


def _running(request: Request) -> Simulator:
    return cast("Simulator", request.app.state.simulator)


def _name(request: Request) -> str:
    return unquote(request.path_params["instance_name"])


def _key(request: Request) -> str:
    key = request.headers.get("apikey")
    if not key:
        raise unauthorized()
    return key


async def _exists(simulator: Simulator, name: str | None) -> bool:
    try:
        return await simulator.instances.exists(name)
    except StoreError as error:
        raise internal_error([f"PrismaClientKnownRequestError: {error}"]) from error
