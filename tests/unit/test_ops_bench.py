"""The bench's arithmetic."""

from bench.figures import Figure, cpu_seconds, median, memory_mib, slowest


def test_a_figure_says_whether_it_keeps_its_limit() -> None:
    assert Figure("up", 29.9, "s", 30).verdict == "ok"
    assert Figure("up", 30.1, "s", 30).verdict == "OVER"
    assert Figure("down", 99, "s").verdict == ""


def test_the_slowest_steps_come_first_and_no_more_than_asked_for() -> None:
    assert slowest([("a", 1.0), ("b", 3.0), ("c", 2.0)], 2) == ("b: 3.0 s", "c: 2.0 s")


def test_memory_counts_no_page_cache_on_either_kind_of_cgroup() -> None:
    assert memory_mib({"memory_stats": {"usage": 3 << 20, "stats": {"total_inactive_file": 1 << 20, "inactive_file": 0}}}) == 2
    assert memory_mib({"memory_stats": {"usage": 3 << 20, "stats": {"inactive_file": 2 << 20}}}) == 1


def test_cpu_time_is_in_seconds() -> None:
    assert cpu_seconds({"cpu_stats": {"cpu_usage": {"total_usage": 2_500_000_000}}}) == 2.5


def test_the_median_is_a_value_that_was_measured() -> None:
    assert median([3.0, 1.0, 2.0]) == 2.0
    assert median([4.0, 1.0]) == 1.0
