"""cmstream/core/memory.py"""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

COUNT_FAULTS = """
import resource, sys
from cmstream.core.memory import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def frame():
    blocks = [bytearray(3 * 512 * 512) for _ in range(4)]
    for block in blocks:
        block[::4096] = bytes(len(block[::4096]))
for _ in range(5):
    frame()
before = faults()
for _ in range(50):
    frame()
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="tunes glibc")
def test_frames_no_longer_cost_page_faults() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # the same cmstream, wheel or checkout
    counts = {}
    for how in ("default", "kept"):
        command = [sys.executable, "-P", "-c", COUNT_FAULTS, how]
        counts[how] = int(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
    assert counts["kept"] < 200
    assert counts["default"] > 10 * (counts["kept"] + 1)
