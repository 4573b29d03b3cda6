"""`/group`: groups aren't simulated, so an open instance is in none."""

from fastapi import APIRouter, Depends, Request

from simulator.errors import Answer, bad_request, internal_error
from simulator.guards import InstanceName, Running, global_key_or_token, instance_exists
from simulator.messages.validation import Schema, problems

_SCHEMA: Schema = {"type": "object", "properties": {"getParticipants": {"type": "string", "enum": ["true", "false"]}}}

router = APIRouter(prefix="/group", dependencies=[Depends(instance_exists), Depends(global_key_or_token)])


@router.get("/fetchAllGroups/{instance_name}")
async def fetch_all_groups(request: Request, simulator: Running, name: InstanceName) -> Answer:
    """Give the groups that an instance is in."""
    if not request.query_params.get("getParticipants"):
        raise bad_request("The getParticipants needs to be informed in the query")
    wrong = problems(dict(request.query_params), _SCHEMA)
    if wrong:
        raise bad_request(wrong)
    instance = simulator.instances.known(name, "fetchAllGroups")
    if not instance.has_client:
        raise internal_error("Cannot convert undefined or null to object")
    if instance.state != "open":
        raise internal_error("Connection Closed")
    return Answer([])
