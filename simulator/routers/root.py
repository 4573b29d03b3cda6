"""The welcome, and the check of a key."""

from http import HTTPStatus

from fastapi import APIRouter, Depends, Request

from simulator import VERSION
from simulator.errors import Answer
from simulator.guards import Running, global_key

router = APIRouter()


@router.get("/")
async def welcome(request: Request, simulator: Running) -> Answer:
    """Say that the process lives; needs no key and looks at no service."""
    host = request.headers.get("host", "")
    manager = {"manager": f"{request.url.scheme}://{host}/manager"} if simulator.settings.server.manager else {}
    return Answer(
        {
            "status": HTTPStatus.OK,
            "message": "Welcome to the Evolution API, it is working!",
            "version": VERSION,
            "clientName": simulator.settings.database.client_name,
            **manager,
            "documentation": "https://doc.evolution-api.com",
        }
    )


@router.post("/verify-creds", dependencies=[Depends(global_key)])
async def verify_creds() -> Answer:
    """Say that the global key is right."""
    return Answer({"status": HTTPStatus.OK, "message": "Credentials are valid"})
