"""`/rabbitmq`, `/websocket`, `/sqs`: an instance's other targets. Of a way that is switched off the answers are empty."""

from http import HTTPStatus

from fastapi import APIRouter, Depends
from starlette.responses import Response

from simulator.errors import Answer, bad_request
from simulator.guards import Body, InstanceName, Running, global_key_or_token, instance_exists
from simulator.messages.validation import problems
from simulator.targets import TARGETS_SCHEMA, is_on, target_from

_GUARDS = [Depends(instance_exists), Depends(global_key_or_token)]


def _router_of(kind: str) -> APIRouter:
    router = APIRouter(prefix=f"/{kind}", dependencies=_GUARDS)

    @router.post("/set/{instance_name}")
    async def set_target(simulator: Running, name: InstanceName, body: Body) -> Response:
        """Set it, or change it."""
        wrong = problems(body, TARGETS_SCHEMA)
        if wrong:
            raise bad_request(wrong)
        if not is_on(kind, simulator.settings):
            return _nothing(HTTPStatus.CREATED)
        target = target_from(kind, body.get(kind))
        instance = simulator.instances.known(name, "instanceId")
        return Answer(await simulator.instances.set_target(instance, target), status_code=HTTPStatus.CREATED)

    @router.get("/find/{instance_name}")
    async def find_target(simulator: Running, name: InstanceName) -> Response:
        """Give it, or null."""
        if not is_on(kind, simulator.settings):
            return _nothing(HTTPStatus.OK)
        instance = simulator.instances.get(name)
        return Answer(await simulator.preferences.shown_target(instance.id, kind) if instance else None)

    return router


def _nothing(status: HTTPStatus) -> Response:
    """Answer without a body, which says that it is JSON."""
    return Response(status_code=status, media_type="application/json; charset=utf-8")


router = APIRouter()


@router.get("/pusher/find/{instance_name}", dependencies=_GUARDS)
async def find_pusher() -> Response:
    """Give nothing: Pusher isn't simulated, so it is never switched on."""
    return _nothing(HTTPStatus.OK)


for _kind in ("rabbitmq", "websocket", "sqs"):
    router.include_router(_router_of(_kind))
