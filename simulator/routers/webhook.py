"""`/webhook`: where an instance's events are posted."""

from http import HTTPStatus

from fastapi import APIRouter, Depends

from simulator.errors import Answer, bad_request
from simulator.guards import Body, InstanceName, Running, global_key_or_token, instance_exists
from simulator.messages.validation import problems
from simulator.targets import WEBHOOK_SCHEMA, target_from

router = APIRouter(prefix="/webhook", dependencies=[Depends(instance_exists), Depends(global_key_or_token)])


@router.post("/set/{instance_name}")
async def set_webhook(simulator: Running, name: InstanceName, body: Body) -> Answer:
    """Set it, or change it: headers and switches that are left out stay as they were."""
    wrong = problems(body, WEBHOOK_SCHEMA)
    if wrong:
        raise bad_request(wrong)
    target = target_from("webhook", body["webhook"])
    instance = simulator.instances.known(name, "instanceId")
    return Answer(await simulator.instances.set_target(instance, target), status_code=HTTPStatus.CREATED)


@router.get("/find/{instance_name}")
async def find_webhook(simulator: Running, name: InstanceName) -> Answer:
    """Give it, or null."""
    instance = simulator.instances.get(name)
    return Answer(await simulator.preferences.shown_target(instance.id, "webhook") if instance else None)
