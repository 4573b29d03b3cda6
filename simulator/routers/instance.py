"""`/instance`: create, list, state, delete."""

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Depends, Request

from simulator.create_schema import problems
from simulator.errors import Answer, bad_request
from simulator.guards import (
    Body,
    InstanceName,
    Running,
    global_key,
    global_key_or_any_token,
    global_key_or_token,
    instance_exists,
    name_is_free,
)

router = APIRouter(prefix="/instance")
_GUARDED = [Depends(instance_exists), Depends(global_key_or_token)]


@router.post("/create", dependencies=[Depends(name_is_free), Depends(global_key)])
async def create(simulator: Running, body: Body) -> Answer:
    """Make an instance."""
    wrong = problems(body)
    if wrong:
        raise bad_request(wrong)
    return Answer(await simulator.instances.create(body), status_code=HTTPStatus.CREATED)


@router.get("/fetchInstances", dependencies=[Depends(global_key_or_any_token)])
async def fetch_instances(request: Request, simulator: Running) -> Answer:
    """List instances; a token's holder sees only what the token opens."""
    asked: dict[str, Any] = {name: request.query_params.get(name) for name in ("instanceName", "instanceId", "number")}
    key = request.headers["apikey"]
    if key != simulator.settings.api_key:
        return Answer(await simulator.instances.described_for_token(key, asked["instanceName"], asked["instanceId"]))
    return Answer(await simulator.instances.described(asked["instanceName"], asked["instanceId"], asked["number"]))


@router.get("/connectionState/{instance_name}", dependencies=_GUARDED)
async def connection_state(simulator: Running, name: InstanceName) -> Answer:
    """Give the state of an instance's connection; it comes from memory, and is left out for an instance of another client's."""
    state = simulator.instances.state(name)
    return Answer({"instance": {"instanceName": name, **({"state": state} if state else {})}})


@router.delete("/delete/{instance_name}", dependencies=_GUARDED)
async def delete(simulator: Running, name: InstanceName) -> Answer:
    """Delete an instance; it is gone a moment after the answer."""
    simulator.instances.delete(name)
    return Answer({"status": "SUCCESS", "error": False, "response": {"message": "Instance deleted"}})
