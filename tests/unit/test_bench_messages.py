"""The bench's counting of messages, and what it is asked for."""

import pytest

from bench.figures import Tally, percentile
from bench.messages import _count
from ops.errors import OperatorError


def test_a_message_that_is_nowhere_is_lost_and_one_that_is_twice_is_doubled() -> None:
    tally = Tally.of(["a", "b", "c"], ["a", "c", "c"])
    assert tally == Tally(frozenset({"b"}), frozenset({"c"}))


def test_a_message_that_nobody_sent_counts_as_doubled_for_it_came_from_somewhere() -> None:
    assert Tally.of(["a"], ["a", "x"]).doubled == {"x"}


def test_all_in_order_is_nothing_lost_and_nothing_doubled() -> None:
    assert Tally.of(["a", "b"], ["b", "a"]) == Tally(frozenset(), frozenset())


def test_what_may_be_at_a_place_without_having_to_be_there_is_neither_lost_nor_doubled() -> None:
    assert Tally.of(["a"], ["a", "b"], known=["a", "b", "c"]) == Tally(frozenset(), frozenset())


def test_a_percentile_is_a_measured_value_that_so_many_do_not_exceed() -> None:
    hundred = [float(value) for value in range(1, 101)]
    assert (percentile(hundred, 50), percentile(hundred, 99), percentile(hundred, 100)) == (50, 99, 100)
    assert percentile([7.0], 99) == 7
    assert percentile([1.0, 2.0], 99) == 2


def test_ten_thousand_messages_are_measured_unless_another_number_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BENCH_MESSAGES", raising=False)
    assert _count() == 10_000
    monkeypatch.setenv("BENCH_MESSAGES", "500")
    assert _count() == 500


@pytest.mark.parametrize("given", ["many", "0", "-5", "1.5"])
def test_what_is_no_number_of_messages_is_refused_with_an_example(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("BENCH_MESSAGES", given)
    with pytest.raises(OperatorError, match="no number of messages") as refused:
        _count()
    assert "make bench BENCH_MESSAGES=500" in str(refused.value.mend)
