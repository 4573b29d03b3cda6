"""`/simulator`: what no Evolution API has, the phone's side. Only the global key opens it."""

from http import HTTPStatus

from fastapi import APIRouter, Depends

from simulator.errors import Answer, bad_request
from simulator.guards import Body, InstanceName, Running, global_key, instance_exists
from simulator.runtime import Simulator

router = APIRouter(prefix="/simulator/instances/{instance_name}", dependencies=[Depends(instance_exists), Depends(global_key)])


@router.post("/pair")
async def pair(simulator: Running, name: InstanceName, body: Body) -> Answer:
    """Pair a phone: `{"number": "5511999990001", "profileName": "Ana"}` opens the instance's connection."""
    number, profile_name = body.get("number"), body.get("profileName", "Simulated phone")
    if not isinstance(number, str) or not number.isdigit() or not isinstance(profile_name, str):
        raise bad_request("number must be a string of digits, and profileName a string")
    await simulator.connections.pair(simulator.instances.simulated(name), number, profile_name)
    return _state(simulator, name)


@router.post("/unpair")
async def unpair(simulator: Running, name: InstanceName) -> Answer:
    """Remove the linked device on the phone."""
    await simulator.connections.unpair(simulator.instances.simulated(name))
    return _state(simulator, name)


@router.post("/offline")
async def go_offline(simulator: Running, name: InstanceName) -> Answer:
    """Take WhatsApp away from the instance: it tries to connect and hears nothing."""
    simulator.connections.go_offline(simulator.instances.simulated(name))
    return _state(simulator, name)


@router.post("/online")
async def go_online(simulator: Running, name: InstanceName) -> Answer:
    """Give it WhatsApp back; a paired instance opens a moment later."""
    simulator.connections.go_online(simulator.instances.simulated(name))
    return _state(simulator, name)


def _state(simulator: Simulator, name: str) -> Answer:
    return Answer({"instance": {"instanceName": name, "state": simulator.instances.state(name)}}, status_code=HTTPStatus.CREATED)
