"""Names the machine a figure was measured on."""

from __future__ import annotations

import platform

from cmstream.bench.report import Hardware
from cmstream.engine.probe import cpu_facts, torch_facts


def hardware() -> Hardware:
    """This machine."""
    cpu, torch = cpu_facts(), torch_facts()
    return Hardware(cpu.name, cpu.cores, torch.cuda_devices, torch.version, platform.python_version())
