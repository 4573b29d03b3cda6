"""`/simulator`: what no Evolution API has, the phone's side. Only the global key opens it."""

from http import HTTPStatus

from fastapi import APIRouter, Depends

from simulator.errors import Answer, bad_request
from simulator.guards import Body, InstanceName, Running, global_key, instance_exists

router = APIRouter(prefix="/simulator/instances/{instance_name}", dependencies=[Depends(instance_exists), Depends(global_key)])


@router.post("/pair")
async def pair(simulator: Running, name: InstanceName, body: Body) -> Answer:
    """Pair a phone: `{"number": "5511999990001", "profileName": "Ana"}` opens the instance's connection."""
    number, profile_name = body.get("number"), body.get("profileName", "Simulated phone")
    if not isinstance(number, str) or not number.isdigit() or not isinstance(profile_name, str):
        raise bad_request("number must be a string of digits, and profileName a string")
    await simulator.instances.pair(name, number, profile_name)
    return Answer({"instance": {"instanceName": name, "state": "open"}}, status_code=HTTPStatus.CREATED)
