"""The pauses that Python itself makes in every thread, kept short. They are settings of the whole process.

A thread that wants to go on waits for a turn (`sys.setswitchinterval`), a frame several times: after every operation of PyTorch
and every wait for a packet. And a full collection of cycles walks through all that lives, which stops everything meanwhile.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

TURN_S = 0.0005
"""Python's own is ten times as long. Beside a thread that is busy in Python a frame took 56 ms instead of 79, at worst 71
instead of 194, and 27 alone (the painter in PyTorch at 256², one thread; medians of three turns on two busy cores). Not for
ever: where nothing is loaded it gains nothing, and frames cost 2.5 per cent more processor time."""
_USUAL_TURN_S = 0.005
_FULL_EVERY = 10  # collections of the middle generation
_NEVER = 2**30


@contextmanager
def loading(*, is_serving: bool) -> Iterator[None]:
    """While something large is loaded: turns are short, and nobody waits for all that lives to be walked through.

    What was imported meanwhile lives for ever, and later collections pass it over: with the libraries of latent models one took
    half a second. So is whatever else lives at that moment: it is freed by its last reference, but cycles of it are not before
    `collect_everything_again`. Where nothing is served yet, all is collected first. On the thread that loads.
    """
    modules, (young, middle, _) = len(sys.modules), gc.get_threshold()
    gc.set_threshold(young, middle, _NEVER)
    if is_serving:
        sys.setswitchinterval(TURN_S)
    try:
        yield
    finally:
        # Python's own and not what it was: of two that overlap, the last one decides.
        sys.setswitchinterval(_USUAL_TURN_S)
        gc.set_threshold(young, middle, _FULL_EVERY)
        if not is_serving:
            gc.collect()
        if not is_serving or len(sys.modules) > modules:
            gc.freeze()


def collect_everything_again() -> None:
    """Nothing is passed over any more: frames are over, and a pause hurts nobody."""
    gc.unfreeze()
