"""How many processor cores this process may use: fewer than the machine has, in a container or under an affinity mask."""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")


def usable_cores(cgroup_root: Path = CGROUP_ROOT, own_cgroup: Path = OWN_CGROUP) -> int:
    """At least 1: the cores of the affinity mask, or what a CPU quota amounts to (cgroup v2 `cpu.max`), rounded up.

    More threads than a quota allows are stopped by the kernel in the middle of a frame.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [quota for folder in _folders(cgroup_root, own_cgroup) if (quota := _quota(folder / "cpu.max")) is not None]
    return max(1, min([allowed, *map(math.ceil, quotas)]))


def codec_threads_for(cores: int) -> int:
    """Threads for encoding and decoding beside an engine on the same cores: a quarter of them, from 2 to 8."""
    return min(8, max(2, cores // 4))


def _folders(root: Path, own_cgroup: Path) -> tuple[Path, ...]:
    """The root, which is its own in a container, and the group that this process is in."""
    try:
        lines = own_cgroup.read_text(encoding="utf-8").splitlines()
    except OSError:
        return (root,)
    return (root, *(root / line.removeprefix("0::/") for line in lines if line.startswith("0::/")))


def _quota(file: Path) -> float | None:
    """Cores, from "200000 100000"; None for "max 100000" and where there is no such file."""
    try:
        limit, period = file.read_text(encoding="utf-8").split()
        return int(limit) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None
