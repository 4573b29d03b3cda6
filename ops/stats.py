"""What a container uses, out of the engine's statistics."""

from __future__ import annotations

from typing import Any

MIB = 1024 * 1024


def memory_mib(stats: dict[str, Any]) -> float:
    """Memory of a container as `docker stats` counts it: without the page cache that the kernel would give back."""
    memory = stats.get("memory_stats") or {}
    details = memory.get("stats") or {}
    cache = details.get("total_inactive_file", details.get("inactive_file", 0))  # cgroup v1, v2
    return max(0.0, float(memory.get("usage", 0) - cache)) / MIB


def cpu_seconds(stats: dict[str, Any]) -> float:
    """CPU time that a container has used since it started."""
    return float(stats["cpu_stats"]["cpu_usage"]["total_usage"]) / 1e9


def cpu_percent(stats: dict[str, Any]) -> float:
    """Percent of one core, over the second before; 0 while the engine has no earlier reading."""
    before = stats.get("precpu_stats") or {}
    busy = stats["cpu_stats"]["cpu_usage"]["total_usage"] - (before.get("cpu_usage") or {}).get("total_usage", 0)
    passed = stats["cpu_stats"].get("system_cpu_usage", 0) - before.get("system_cpu_usage", 0)
    cores = stats["cpu_stats"].get("online_cpus") or 1
    return 100.0 * busy * cores / passed if passed > 0 and before.get("system_cpu_usage") else 0.0
