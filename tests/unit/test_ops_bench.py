"""The bench's arithmetic."""

from bench.figures import Figure, largest, median, slowest
from bench.usage import Reading, used
from ops.stats import cpu_seconds, memory_mib


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


def test_the_largest_part_of_a_sum_comes_first() -> None:
    assert largest({"db": 1.0, "app": 2.0}, "MiB") == ("app: 2.0 MiB", "db: 1.0 MiB")


def test_cpu_is_what_was_used_between_two_readings_and_memory_that_of_the_second() -> None:
    def stats(cpu: float, mib: int) -> dict[str, dict[str, object]]:
        return {"cpu_stats": {"cpu_usage": {"total_usage": cpu * 1e9}}, "memory_stats": {"usage": mib << 20}}

    before = Reading({"app": stats(1, 9), "db": stats(2, 9)}, taken=100)
    after = Reading({"app": stats(6, 30), "db": stats(3, 12)}, taken=110)
    memory, cpu = used("idle", before, after, most_mib=40, most_percent=50)
    assert (memory.value, memory.verdict, memory.notes) == (42, "OVER", ("app: 30.0 MiB", "db: 12.0 MiB"))
    assert (round(cpu.value), cpu.verdict, cpu.notes) == (60, "OVER", ("app: 50.0 %", "db: 10.0 %"))
