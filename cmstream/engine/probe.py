"""What the machine offers an engine. The one place that the command line asks for facts about torch."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass
from pathlib import Path

import torch

from cmstream.core.cores import usable_cores

_BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})  # the last is ARM's name


@dataclass(frozen=True, slots=True)
class CpuFacts:
    """`cores` are those this process may use.

    `bf16` says whether the processor has instructions for it; without them torch emulates, slower than float32.
    """

    name: str
    cores: int
    bf16: bool
    flags: frozenset[str]


@dataclass(frozen=True, slots=True)
class TorchFacts:
    """`cuda_devices` has one line a device; `cuda_version` is what torch was built for, None for a CPU build."""

    version: str
    threads: int
    capability: str
    cuda_version: str | None
    cuda_devices: tuple[str, ...]


def cpu_facts(cpuinfo: Path = Path("/proc/cpuinfo")) -> CpuFacts:
    """From /proc/cpuinfo where there is one; the bare architecture elsewhere."""
    text = cpuinfo.read_text(encoding="utf-8", errors="replace") if cpuinfo.is_file() else ""
    name = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    known = frozenset(flags[1].split()) if flags else frozenset()
    return CpuFacts(name[1].strip() if name else platform.machine(), usable_cores(), bool(known & _BF16_FLAGS), known)


def torch_facts() -> TorchFacts:
    """Asks torch; starts no CUDA context beyond what naming the devices needs."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else range(0)
    return TorchFacts(
        torch.__version__,
        torch.get_num_threads(),
        torch.backends.cpu.get_cpu_capability(),
        torch.version.cuda,
        tuple(_device_line(index) for index in devices),
    )


def _device_line(index: int) -> str:
    about = torch.cuda.get_device_properties(index)
    return f"cuda:{index} {about.name}, {about.total_memory / 2**30:.0f} GiB, compute {about.major}.{about.minor}"
