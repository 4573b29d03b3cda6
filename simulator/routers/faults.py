"""`/simulator/status`, `/simulator/faults` and storms: what no Evolution API has. Only the global key opens them."""

import asyncio
from http import HTTPStatus

from fastapi import APIRouter, Depends

from simulator import VERSION, faults
from simulator.errors import Answer, bad_request
from simulator.express import MARK
from simulator.guards import Body, InstanceName, Running, global_key, instance_exists
from simulator.instance import Instance
from simulator.runtime import Simulator

_MOST_PER_SECOND = 1000
_LONGEST_STORM_S = 600
_TICK_S = 0.05

router = APIRouter(prefix="/simulator", dependencies=[Depends(global_key)])


@router.get("/status")
async def status(simulator: Running) -> Answer:
    """Say that this is a simulator, what goes wrong on purpose, and what it has done since it started."""
    current, off = simulator.faults.current.shown(), faults.FaultSettings().shown()
    return Answer(
        {
            "simulator": True,
            "about": MARK,
            "version": VERSION,
            "faults": {name: value for name, value in current.items() if value != off[name]},
            "rabbitmqConnected": simulator.rabbitmq.is_connected,
            "instances": {instance.name: instance.state for instance in simulator.instances.all()},
            "events": dict(simulator.events.counts),
        }
    )


@router.get("/faults")
async def current_faults(simulator: Running) -> Answer:
    """Give all faults, with those that are off."""
    return Answer(simulator.faults.current.shown())


@router.put("/faults")
async def change_faults(simulator: Running, body: Body) -> Answer:
    """Put these faults in the place of the current ones; what isn't named is off."""
    wanted = faults.parse(body)
    unknown = [name for name in wanted.disconnect if simulator.instances.get(name) is None]
    if unknown:
        raise bad_request([f'disconnect: there is no instance "{name}"' for name in unknown])
    simulator.faults.change(wanted)
    return Answer(wanted.shown())


@router.delete("/faults")
async def no_faults(simulator: Running) -> Answer:
    """Switch all of them off."""
    simulator.faults.change(faults.FaultSettings())
    return Answer(simulator.faults.current.shown())


@router.post("/instances/{instance_name}/storm", dependencies=[Depends(instance_exists)])
async def storm(simulator: Running, name: InstanceName, body: Body) -> Answer:
    """Emit `connection.update` as 2.2.3 does when it can't reach WhatsApp: `{"perSecond": 90, "seconds": 10}`.

    A deletion of the instance doesn't end it, as it doesn't there.
    """
    instance = simulator.instances.simulated(name)
    rate, seconds = body.get("perSecond", 90), body.get("seconds")
    if not _is_within(rate, _MOST_PER_SECOND) or not _is_within(seconds, _LONGEST_STORM_S):
        raise bad_request(f"perSecond must be a number up to {_MOST_PER_SECOND}, and seconds one up to {_LONGEST_STORM_S}")
    simulator.background.run(_storm(simulator, instance, rate, int(rate * seconds)))
    return Answer({"instance": name, "events": int(rate * seconds)}, status_code=HTTPStatus.ACCEPTED)


def _is_within(value: object, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= most


async def _storm(simulator: Simulator, instance: Instance, rate: float, events: int) -> None:
    """Emit a known number of events, as many each tick as are due."""
    clock = asyncio.get_running_loop().time
    begun, done = clock(), 0
    while done < events:
        due = min(events, int((clock() - begun) * rate) + 1)
        for _ in range(due - done):
            data = {"instance": instance.name, "state": "connecting", "statusReason": 200}
            simulator.events.emit(instance, "connection.update", data)
        done = due
        await asyncio.sleep(_TICK_S)
