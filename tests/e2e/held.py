"""What a process holds: sockets, tasks and threads, for tests of what is left behind."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from dataclasses import dataclass


@dataclass(frozen=True)
class Held:
    """What this process holds."""

    sockets: int
    tasks: int
    threads: int

    @classmethod
    def now(cls) -> Held:
        gc.collect()
        sockets = sum(os.path.realpath(f"/proc/self/fd/{name}").find("socket:") >= 0 for name in os.listdir("/proc/self/fd"))
        # The loop's own executor grows to its size and stays; the codec pool is as large as it is set.
        threads = [one for one in threading.enumerate() if not one.name.startswith(("asyncio_", "codecs"))]
        return cls(sockets, len(asyncio.all_tasks()), len(threads))

    def within(self, other: Held) -> bool:
        return self.sockets <= other.sockets and self.tasks <= other.tasks and self.threads <= other.threads
