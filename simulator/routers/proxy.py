"""`/proxy`: through what an instance reaches WhatsApp. 2.2.3 tries a proxy over the internet, so none is good here."""

from http import HTTPStatus

from fastapi import APIRouter, Depends

from simulator.errors import Answer, bad_request, not_found
from simulator.guards import Body, InstanceName, Running, global_key_or_token, instance_exists
from simulator.messages.validation import Schema, problems
from simulator.preferences import PROXY

_REQUIRED = ["enabled", "host", "port", "protocol"]
_SCHEMA: Schema = {
    "type": "object",
    "properties": {"enabled": {"type": "boolean", "enum": [True, False]}, **{name: {"type": "string"} for name in PROXY}},
    "required": _REQUIRED,
    "notEmpty": _REQUIRED,
}

router = APIRouter(prefix="/proxy", dependencies=[Depends(instance_exists), Depends(global_key_or_token)])


@router.post("/set/{instance_name}")
async def set_proxy(simulator: Running, name: InstanceName, body: Body) -> Answer:
    """Set it; a disabled one is kept without any of its values."""
    wrong = problems(body, _SCHEMA)
    if wrong:
        raise bad_request(wrong)
    instance = simulator.instances.get(name)
    if instance is None:
        raise not_found(f'The "{name}" instance does not exist')
    told = body if body["enabled"] else {**body, **dict.fromkeys(PROXY, "")}
    if told["host"]:
        raise bad_request("Invalid proxy")
    if set(PROXY) <= set(told):  # else 2.2.3 can't store it, and answers all the same
        await simulator.preferences.save_proxy(instance.id, told)
    return Answer({"proxy": {"instanceName": name, "proxy": told}}, status_code=HTTPStatus.CREATED)


@router.get("/find/{instance_name}")
async def find_proxy(simulator: Running, name: InstanceName) -> Answer:
    """Give it, or null."""
    instance = simulator.instances.get(name)
    if instance is None:
        raise not_found(f'The "{name}" instance does not exist')
    return Answer(await simulator.preferences.proxy(instance.id))
