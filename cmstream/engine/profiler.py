"""Records what host and device do, as torch.profiler (Kineto) sees it, for `bench/timeline.py` to read. Bench only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile, record_function


@contextmanager
def recorded(path: Path, span: str) -> Iterator[None]:
    """What runs in this context goes into a trace at `path`, under a span of that name; a GPU's work where there is one."""
    activities = [ProfilerActivity.CPU]
    if torch.cuda.is_available():
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities, acc_events=True) as profiler, record_function(span):
        yield
    profiler.export_chrome_trace(str(path))
