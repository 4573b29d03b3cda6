"""`/simulator`: what a simulated contact does, and what the phone's page shows. Only the global key opens it."""

import asyncio
import json
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated
from urllib.parse import unquote

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response, StreamingResponse

from simulator.errors import Answer, bad_request, not_found
from simulator.guards import Body, InstanceName, Running, global_key, instance_exists
from simulator.instance import Instance
from simulator.messages.jids import jid_of, number_of
from simulator.messages.store import DELIVERY_ACK, READ, STATUSES, Message
from simulator.messages.view import shown, shown_chat
from simulator.runtime import Simulator

_STILL_THERE_S = 15
"""How often a quiet stream says that it is alive, so that nobody between gives it up."""

_PAGE, _MOST = 100, 500
_LONGEST_NAME = 100

router = APIRouter(prefix="/simulator", dependencies=[Depends(global_key)])
_instances = APIRouter(prefix="/instances/{instance_name}", dependencies=[Depends(instance_exists)])


async def _instance(simulator: Running, name: InstanceName) -> Instance:
    return simulator.instances.simulated(name)


async def _jid(request: Request) -> str:
    return jid_of(unquote(request.path_params["jid"]))


Here = Annotated[Instance, Depends(_instance)]
Jid = Annotated[str, Depends(_jid)]


@router.get("/settings")
async def settings(simulator: Running) -> Answer:
    """Say how the phones behave."""
    return Answer(simulator.messages.contacts.behaviour.shown())


@router.put("/settings")
async def change_settings(simulator: Running, body: Body) -> Answer:
    """Change how the phones behave; what isn't named stays."""
    return Answer((await simulator.messages.contacts.behave(body)).shown())


@router.get("/stream")
async def stream(simulator: Running) -> StreamingResponse:
    """Tell what happens from now on, as server-sent events."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_news(simulator), media_type="text/event-stream", headers=headers)


async def _news(simulator: Simulator) -> AsyncIterator[str]:
    with simulator.messages.hub.listening() as news:
        yield ": simulator\n\n"
        while True:
            try:
                told = await asyncio.wait_for(news.get(), _STILL_THERE_S)
            except TimeoutError:
                yield ": still there\n\n"
            else:
                yield f"data: {json.dumps(told, ensure_ascii=False)}\n\n"


@router.get("/instances")
async def instances(simulator: Running) -> Answer:
    """List the instances, with what the page shows of them; `offline` is whether WhatsApp was taken away."""
    return Answer(
        [
            {
                "name": instance.name,
                "state": instance.state,
                "paired": instance.paired,
                "offline": instance.offline,
                "number": number_of(instance.wuid) if instance.wuid else instance.number,
                "profileName": instance.profile_name,
            }
            for instance in simulator.instances.all()
        ]
    )


@_instances.get("/chats")
async def chats(simulator: Running, instance: Here) -> Answer:
    """List those whom the instance talks with, the latest first."""
    return Answer([shown_chat(row) for row in await simulator.messages.contacts.chats(instance.id)])


@_instances.get("/chats/{jid}/messages")
async def chat(simulator: Running, instance: Here, jid: Jid, request: Request) -> Answer:
    """Give the newest messages of a chat, the oldest of them first; `limit` says how many, `before` (an id) where to go on."""
    limit = request.query_params.get("limit", str(_PAGE))
    if not limit.isdigit() or not 0 < int(limit) <= _MOST:
        raise bad_request(f"limit must be a number from 1 to {_MOST}")
    messages = await simulator.messages.store.chat(instance.id, jid, int(limit), request.query_params.get("before"))
    return Answer([shown(message) for message in messages])


@_instances.post("/chats/{jid}/read")
async def read(simulator: Running, instance: Here, jid: Jid) -> Answer:
    """Read, as the contact, all that the instance has written."""
    unread = await simulator.messages.store.below(instance.id, READ, jid)
    for message in unread:
        simulator.messages.receipts.mark(instance, message, READ)
    return Answer({"read": len(unread)})


@_instances.put("/contacts/{jid}")
async def contact(simulator: Running, instance: Here, jid: Jid, body: Body) -> Answer:
    """Name a contact, take its phone off the net or bring it back: `{"pushName": "Bia", "online": false}`."""
    name, online, contacts = body.get("pushName"), body.get("online"), simulator.messages.contacts
    if not contacts.on_whatsapp(jid):
        raise bad_request(f"{jid} is not on WhatsApp: see unknownNumbers and 999 in the settings")
    if name is not None and (not isinstance(name, str) or not 0 < len(name) <= _LONGEST_NAME):
        raise bad_request(f"pushName must be a string of 1 to {_LONGEST_NAME} characters")
    if not isinstance(online, bool | None) or (name is None and online is None):
        raise bad_request("say pushName (a string), online (true or false), or both")
    if name is not None:
        await contacts.rename(instance.id, jid, name)
    if online is not None:
        await contacts.set_online(instance.id, jid, online=online)
        for message in await simulator.messages.store.below(instance.id, DELIVERY_ACK, jid) if online else ():
            simulator.messages.receipts.deliver(instance, message)
    simulator.messages.hub.tell("chat", instance.name, jid=jid)
    return Answer({"jid": jid, "pushName": name or await contacts.name_of(instance.id, jid), "online": contacts.online(instance.id, jid)})


@_instances.post("/messages")
async def write(simulator: Running, instance: Here, body: Body) -> Answer:
    """Write to the instance: `{"from": "5511977776666", "text": "hi"}`, or `media` or `voice` with a file in base64."""
    if not instance.paired:
        raise bad_request(f'No phone is paired with the instance "{instance.name}"')
    return Answer(shown(await simulator.messages.receiver.write(instance, body)), status_code=HTTPStatus.CREATED)


async def _message(simulator: Simulator, instance: Instance, request: Request) -> Message:
    found = await simulator.messages.store.by_key(instance.id, request.path_params["message_id"])
    if found is None:
        raise not_found(f'There is no message "{request.path_params["message_id"]}"')
    return found


@_instances.post("/messages/{message_id}/status")
async def status(simulator: Running, instance: Here, request: Request, body: Body) -> Answer:
    """Let a message of the instance's come so far: `{"status": "READ"}`."""
    message, wanted = await _message(simulator, instance, request), body.get("status")
    if wanted not in STATUSES:
        raise bad_request(f"status must be one of {', '.join(STATUSES)}")
    if not message.from_me:
        raise bad_request("Only messages that the instance sent have a status here")
    simulator.messages.receipts.mark(instance, message, wanted, forced=True)
    return Answer({"id": message.key_id, "status": wanted})


@_instances.get("/messages/{message_id}/media")
async def media(simulator: Running, instance: Here, request: Request) -> Response:
    """Give a message's file. It never runs as a page, whatever it holds."""
    message = await _message(simulator, instance, request)
    file = await simulator.messages.store.file(instance.id, message.key_id)
    if file is None:
        raise not_found("The message has no file")
    headers = {
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Content-Disposition": "attachment",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, max-age=3600",
    }
    return Response(file.content, media_type="application/octet-stream", headers=headers)


router.include_router(_instances)
