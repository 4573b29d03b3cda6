"""What one sender decides by itself: how much it begins, and when it takes over what another one seems to have given up."""

from uuid import uuid4

import pytest

from src.messages.slots import Slots
from src.messages.steadiness import Steadiness

LEASE = 30.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def answers_for(steadiness: Steadiness, clock: Clock, seconds: float) -> None:
    """Let the database answer every 10 s, up to the end."""
    for _ in range(int(seconds // 10)):
        clock.now += 10
        steadiness.answered()


def test_who_has_just_started_takes_nothing_over_for_a_lease(clock: Clock) -> None:
    steadiness = Steadiness(LEASE, clock)
    answers_for(steadiness, clock, 20)
    assert not steadiness.lasts()
    answers_for(steadiness, clock, 10)
    assert steadiness.lasts()


@pytest.mark.parametrize("jump", [15.1, 3600.0, -3600.0])
def test_after_a_break_the_others_get_a_lease_to_renew_their_claims(clock: Clock, jump: float) -> None:
    steadiness = Steadiness(LEASE, clock)
    answers_for(steadiness, clock, 100)
    clock.now += jump
    assert not steadiness.lasts(), "the break is not over"
    steadiness.answered()
    answers_for(steadiness, clock, 20)
    assert not steadiness.lasts()
    answers_for(steadiness, clock, 10)
    assert steadiness.lasts()


def test_a_pause_in_which_no_claim_can_run_out_is_no_break(clock: Clock) -> None:
    steadiness = Steadiness(LEASE, clock)
    answers_for(steadiness, clock, 100)
    clock.now += 14.9
    steadiness.answered()
    assert steadiness.lasts()


def fill(slots: Slots, instance: str, count: int, now: float) -> None:
    for _ in range(count):
        slots.take(uuid4(), instance, now)


def test_as_many_messages_are_begun_as_there_are_places() -> None:
    slots = Slots(4, slow_seconds=10)
    message_id = uuid4()
    slots.take(message_id, "a", 0)
    fill(slots, "b", 3, 0)
    assert slots.free(9) == 0
    slots.give_back(message_id)
    assert slots.free(9) == 1


def test_what_takes_long_gives_up_its_place_to_other_instances() -> None:
    slots = Slots(4, slow_seconds=10)
    fill(slots, "hangs", 4, 0)
    assert slots.free(9) == 0
    assert (slots.free(10), slots.crowded(10)) == (2, ["hangs"])
    fill(slots, "works", 1, 10)
    assert (slots.free(11), slots.crowded(11)) == (2, ["hangs"])


def test_however_many_instances_hang_there_is_a_place_for_the_next() -> None:
    slots = Slots(16, slow_seconds=10)
    hanging = ["a", "b", "c", "d"]
    for minute, instance in enumerate(hanging):
        for moment in range(5):  # more is claimed again and again, before the first of its messages is slow
            now = 60 * minute + moment
            if instance not in slots.crowded(now):
                fill(slots, instance, slots.free(now), now)
    assert slots.free(300) > 0
    assert slots.crowded(300) == hanging


def test_an_instance_with_a_few_slow_messages_goes_on() -> None:
    slots = Slots(4, slow_seconds=10)
    fill(slots, "a", 1, 0)
    assert (slots.free(10), slots.crowded(10)) == (4, [])


def test_all_together_are_bounded() -> None:
    slots = Slots(4, slow_seconds=10)
    fill(slots, "a", 4, 0)
    fill(slots, "b", 4, 10)
    assert slots.free(20) == 0
