"""`/instance`: create, list, connect, state, restart, presence, log out, delete."""

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Depends, Request

from simulator.create_schema import SCHEMA
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
from simulator.messages import validation

_PRESENCE: validation.Schema = {
    "type": "object",
    "properties": {"presence": {"type": "string", "enum": ["unavailable", "available", "composing", "recording", "paused"]}},
    "required": ["presence"],
}

router = APIRouter(prefix="/instance")
_GUARDED = [Depends(instance_exists), Depends(global_key_or_token)]


@router.post("/create", dependencies=[Depends(name_is_free), Depends(global_key)])
async def create(simulator: Running, body: Body) -> Answer:
    """Make an instance."""
    wrong = validation.problems(body, SCHEMA)
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


@router.get("/connect/{instance_name}", dependencies=_GUARDED)
async def connect(request: Request, simulator: Running, name: InstanceName) -> Answer:
    """Connect an instance and give the code to pair it with; `number` asks for a code to type as well."""
    return Answer(await simulator.instances.connect(name, request.query_params.get("number")))


@router.post("/restart/{instance_name}", dependencies=_GUARDED)
async def restart(simulator: Running, name: InstanceName) -> Answer:
    """Connect an instance anew."""
    return Answer(await simulator.instances.restart(name))


@router.post("/setPresence/{instance_name}", dependencies=_GUARDED)
async def set_presence(simulator: Running, name: InstanceName, body: Body) -> Answer:
    """Show the paired phone's owner as available, typing and so on: to nobody, here."""
    wrong = validation.problems(body, _PRESENCE)
    if wrong:
        raise bad_request(wrong)
    instance = simulator.instances.known(name, "setPresence")
    if instance.state != "open":
        missing = "name" if instance.has_client else "sendPresenceUpdate"
        raise bad_request(f"TypeError: Cannot read properties of undefined (reading '{missing}')")
    return Answer({"presence": body["presence"]}, status_code=HTTPStatus.CREATED)


@router.delete("/logout/{instance_name}", dependencies=_GUARDED)
async def log_out(simulator: Running, name: InstanceName) -> Answer:
    """Forget a pairing, or the wish for one."""
    await simulator.instances.log_out(name)
    return Answer({"status": "SUCCESS", "error": False, "response": {"message": "Instance logged out"}})


@router.delete("/delete/{instance_name}", dependencies=_GUARDED)
async def delete(simulator: Running, name: InstanceName) -> Answer:
    """Delete an instance; it is gone a moment after the answer."""
    await simulator.instances.delete(name)
    return Answer({"status": "SUCCESS", "error": False, "response": {"message": "Instance deleted"}})
