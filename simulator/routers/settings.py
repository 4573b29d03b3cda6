"""`/settings`: what an instance does by itself."""

from http import HTTPStatus

from fastapi import APIRouter, Depends

from simulator.errors import Answer, bad_request, internal_error
from simulator.guards import Body, InstanceName, Running, global_key_or_token, instance_exists
from simulator.messages.validation import Schema, problems

_REQUIRED = ["rejectCall", "groupsIgnore", "alwaysOnline", "readMessages", "readStatus", "syncFullHistory"]
_TYPES = {**dict.fromkeys(_REQUIRED, "boolean"), "msgCall": "string", "wavoipToken": "string"}
_SCHEMA: Schema = {
    "type": "object",
    "properties": {name: {"type": _TYPES[name]} for name in ("rejectCall", "msgCall", *_REQUIRED[1:], "wavoipToken")},
    "required": _REQUIRED,
}

router = APIRouter(prefix="/settings", dependencies=[Depends(instance_exists), Depends(global_key_or_token)])


@router.post("/set/{instance_name}")
async def set_settings(simulator: Running, name: InstanceName, body: Body) -> Answer:
    """Set them; the answer repeats what was told."""
    wrong = problems(body, _SCHEMA)
    if wrong:
        raise bad_request(wrong)
    instance = simulator.instances.known(name, "setSettings")
    await simulator.preferences.save_settings(instance.id, body)
    if body.get("wavoipToken") and not instance.has_client:
        raise internal_error("Cannot read properties of undefined (reading 'ws')")
    return Answer({"settings": {"instanceName": name, "settings": body}}, status_code=HTTPStatus.CREATED)


@router.get("/find/{instance_name}")
async def find_settings(simulator: Running, name: InstanceName) -> Answer:
    """Give them, or null."""
    instance = simulator.instances.get(name)
    return Answer(await simulator.preferences.settings(instance.id) if instance else None)
