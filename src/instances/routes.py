"""The routes under /instances."""

import base64
import binascii
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query, Response, status
from fastapi.responses import JSONResponse

from src import problems
from src.access import SECURED
from src.instances import service, store
from src.instances.negotiation import preferred
from src.instances.schemas import PHONE, InstanceList, InstanceOut, InstanceStateOut, NewInstance, QrCode
from src.openapi import location
from src.parameters import GIVEN_ONCE
from src.problems import FROM_EVOLUTION, ProblemError, responses
from src.resources import UsedResources

router = APIRouter(prefix="/instances", tags=["instances"], dependencies=SECURED)

_JSON, _PNG = "application/json", "image/png"
_FORMATS = {"json": _JSON, "png": _PNG}
_ALWAYS = (problems.UNAUTHORIZED, problems.INTERNAL_ERROR, problems.DATABASE_UNUSABLE)
_NOT_YET = (problems.QR_NOT_READY, problems.INSTANCE_NOT_LOADED)
_OF_ONE = (*_ALWAYS, problems.INSTANCE_UNKNOWN, *FROM_EVOLUTION)


@router.post(
    "",
    operation_id="createInstance",
    summary="Create an instance",
    status_code=status.HTTP_201_CREATED,
    response_description="Created; not connected yet",
    responses={
        status.HTTP_200_OK: {"model": InstanceOut, "description": "Taken over: Evolution API had it already, the application did not"}
        | location("instance"),
        status.HTTP_201_CREATED: location("instance"),
        **responses(
            *_ALWAYS,
            *FROM_EVOLUTION,
            *problems.OF_JSON_BODY,
            problems.INSTANCE_EXISTS,
            problems.REFUSED_BY_EVOLUTION,
        ),
    },
)
async def create(new: NewInstance, response: Response, resources: UsedResources) -> InstanceOut:
    """Make an instance of Evolution API. Ask for its QR code to pair a phone with it."""
    made = await service.make(resources, new.name, new.number)
    if not made.is_new:
        response.status_code = status.HTTP_200_OK
    response.headers["Location"] = f"/instances/{new.name}"
    return InstanceOut.model_validate(dict(made.instance))


@router.get(
    "",
    operation_id="listInstances",
    summary="List instances",
    response_description="All instances, by name",
    responses=responses(*_ALWAYS),
)
async def list_instances(resources: UsedResources) -> InstanceList:
    """Return all instances with the state that the application last heard of."""
    return InstanceList(items=[InstanceOut.model_validate(dict(row)) for row in await store.every(resources.engine)])


@router.get(
    "/{name}",
    operation_id="getInstance",
    summary="Get an instance",
    response_description="The instance",
    responses=responses(*_ALWAYS, problems.INSTANCE_UNKNOWN),
)
async def get(name: str, resources: UsedResources) -> InstanceOut:
    """Return an instance with the state that the application last heard of."""
    return InstanceOut.model_validate(dict(await service.known(resources, name)))


@router.get(
    "/{name}/state",
    operation_id="getInstanceState",
    summary="Get an instance's state",
    response_description="The state at this moment",
    responses=responses(*_OF_ONE, problems.INSTANCE_NOT_LOADED),
)
async def get_state(name: str, resources: UsedResources) -> InstanceStateOut:
    """Ask Evolution API how the instance is connected at this moment."""
    return InstanceStateOut(name=name, state=await service.state(resources, name))


@router.get(
    "/{name}/qr",
    operation_id="getInstanceQrCode",
    summary="Get the QR code to pair a phone",
    response_class=Response,
    response_description="The code, as JSON or as a picture",
    dependencies=GIVEN_ONCE,
    responses={
        status.HTTP_200_OK: {
            "content": {
                _JSON: {"schema": {"$ref": "#/components/schemas/QrCode"}},
                _PNG: {"schema": {"type": "string", "format": "binary"}},
            }
        },
        **responses(*_OF_ONE, problems.NOT_ACCEPTABLE, problems.INSTANCE_OPEN, problems.VALIDATION_FAILED, *_NOT_YET),
    },
)
async def get_qr(
    name: str,
    resources: UsedResources,
    output: Annotated[Literal["png", "json"] | None, Query(alias="format", description="Wins over the header Accept.")] = None,
    number: Annotated[
        str | None,
        Query(pattern=PHONE, description="The phone's number, digits alone: when pairing begins, asks for a code to type on it as well."),
    ] = None,
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Response:
    """Begin to pair the instance, or go on, and return the code to scan with the phone; a new one every 45 s or so.

    As JSON, or as a picture to callers that prefer `image/png` in the header Accept. The first request takes 2 s.
    """
    media_type = _FORMATS[output] if output else preferred(accept, (_JSON, _PNG))
    if media_type is None:
        raise ProblemError(problems.NOT_ACCEPTABLE, f"A QR code comes as {_JSON} or {_PNG}; the header Accept has neither.")
    connection = await service.connect(resources, name, number)
    headers = {"Cache-Control": "no-store", "Vary": "Accept"}
    picture = connection.base64 or ""
    if media_type == _PNG:
        return Response(_bytes(picture), media_type=_PNG, headers=headers)
    code = QrCode(code=connection.code or "", base64=picture, pairing_code=connection.pairing_code, count=connection.count)
    return JSONResponse(code.model_dump(), headers=headers)


@router.post(
    "/{name}/logout",
    operation_id="logOutInstance",
    summary="Unpair an instance's phone",
    status_code=status.HTTP_204_NO_CONTENT,
    response_description="Logged out",
    responses=responses(*_OF_ONE, problems.INSTANCE_NOT_CONNECTED),
)
async def log_out(name: str, resources: UsedResources) -> None:
    """Log the instance out of WhatsApp. It stays, and can be paired again."""
    await service.log_out(resources, name)


@router.delete(
    "/{name}",
    operation_id="deleteInstance",
    summary="Delete an instance",
    status_code=status.HTTP_204_NO_CONTENT,
    response_description="Deleted",
    responses=responses(*_OF_ONE),
)
async def delete(name: str, resources: UsedResources) -> None:
    """Remove the instance from Evolution API and from the application; its messages stay. What is queued for it fails."""
    await service.delete(resources, name)


def _bytes(data_uri: str) -> bytes:
    try:
        return base64.b64decode(data_uri.partition(",")[2], validate=True)
    except binascii.Error:
        raise ProblemError(problems.EVOLUTION_UNEXPECTED_ANSWER, "Evolution API gave a picture that is not base64.") from None
