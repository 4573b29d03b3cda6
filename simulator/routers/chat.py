"""`/chat`: who is on WhatsApp, what was said, and what can be done with it."""

from http import HTTPStatus

from fastapi import APIRouter

from simulator.errors import Answer, internal_error
from simulator.guards import Body, InstanceName, Running
from simulator.messages import schemas
from simulator.messages.jids import jid_of
from simulator.routers.message import GUARDED, checked

router = APIRouter(prefix="/chat", dependencies=GUARDED)


@router.post("/whatsappNumbers/{instance_name}")
async def whatsapp_numbers(simulator: Running, name: InstanceName, body: Body) -> Answer:
    """Say which numbers are on WhatsApp, and how their owners are called, where that is known."""
    checked(body, schemas.NUMBERS)
    instance = simulator.instances.known(name, "whatsappNumber")
    if "numbers" not in body:
        raise internal_error("Cannot read properties of undefined (reading 'forEach')")
    found = await simulator.messages.sender.numbers(instance, body["numbers"])
    names = await simulator.messages.queries.names(instance.id, [each["jid"] for each in found])
    return Answer([each | ({"name": names[each["jid"]]} if each["jid"] in names else {}) for each in found])


@router.post("/markMessageAsRead/{instance_name}")
async def mark_message_as_read(simulator: Running, name: InstanceName, body: Body) -> Answer:
    """Let the writers see that their messages were read."""
    checked(body, schemas.READ)
    answer = await simulator.messages.chats.mark_read(simulator.instances.known(name, "markMessageAsRead"), body["readMessages"])
    return Answer(answer, status_code=HTTPStatus.CREATED)


@router.delete("/deleteMessageForEveryone/{instance_name}")
async def delete_message(simulator: Running, name: InstanceName, body: Body) -> Answer:
    """Take a message back."""
    checked(body, schemas.DELETE)
    answer = await simulator.messages.chats.delete(simulator.instances.known(name, "deleteMessage"), body)
    return Answer(answer, status_code=HTTPStatus.CREATED)


@router.post("/updateMessage/{instance_name}")
async def update_message(simulator: Running, name: InstanceName, body: Body) -> Answer:
    """Change what a message says."""
    checked(body, schemas.UPDATE)
    instance = simulator.instances.known(name, "updateMessage")
    if "number" not in body:
        raise internal_error("Cannot read properties of undefined (reading 'replace')")
    return Answer(await simulator.messages.chats.edit(instance, body))


@router.post("/sendPresence/{instance_name}")
async def send_presence(simulator: Running, name: InstanceName, body: Body) -> Answer:
    """Show that somebody is typing or recording."""
    checked(body, schemas.PRESENCE)
    answer = await simulator.messages.chats.presence(simulator.instances.known(name, "sendPresence"), body)
    return Answer(answer, status_code=HTTPStatus.CREATED)


@router.post("/getBase64FromMediaMessage/{instance_name}")
async def media_in_base64(simulator: Running, name: InstanceName, body: Body) -> Answer:
    """Give a message's file."""
    answer = await simulator.messages.chats.file(simulator.instances.known(name, "getBase64FromMediaMessage"), body)
    return Answer(answer, status_code=HTTPStatus.CREATED)


@router.post("/findMessages/{instance_name}")
async def find_messages(simulator: Running, name: InstanceName, body: Body) -> Answer:
    """Find messages, by pages."""
    checked(body, schemas.FIND_MESSAGES)
    return Answer(await simulator.messages.queries.messages(simulator.instances.known(name, "fetchMessages").id, body))


@router.post("/findStatusMessage/{instance_name}")
async def find_statuses(simulator: Running, name: InstanceName, body: Body) -> Answer:
    """Find what became of messages."""
    checked(body, schemas.FIND_STATUSES)
    return Answer(await simulator.messages.queries.statuses(simulator.instances.known(name, "fetchStatusMessage").id, body))


@router.post("/findContacts/{instance_name}")
async def find_contacts(simulator: Running, name: InstanceName, body: Body) -> Answer:
    """Find contacts."""
    checked(body, schemas.FIND_CONTACTS)
    return Answer(await simulator.messages.queries.contacts(simulator.instances.known(name, "fetchContacts").id, body))


@router.post("/findChats/{instance_name}")
async def find_chats(simulator: Running, name: InstanceName, body: Body) -> Answer:
    """Find chats."""
    checked(body, schemas.FIND_CONTACTS)
    return Answer(await simulator.messages.queries.chats(simulator.instances.known(name, "fetchChats").id, body))


@router.post("/fetchProfilePictureUrl/{instance_name}")
async def profile_picture(simulator: Running, name: InstanceName, body: Body) -> Answer:
    """Give the address of somebody's picture: nobody here has one."""
    checked(body, schemas.PICTURE)
    instance = simulator.instances.known(name, "profilePicture")
    if "number" not in body:
        raise internal_error("Cannot read properties of undefined (reading 'replace')")
    return Answer({"wuid": jid_of(body.get("number") or instance.wuid or ""), "profilePictureUrl": None})
