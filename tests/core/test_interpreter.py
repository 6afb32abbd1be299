"""Python's own pauses, in a process of its own: what is tried here is set for all of it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

COUNTING = """
import gc, json, sys
from cmstream.core.interpreter import collect_everything_again, loading

class Pair:
    def __init__(self): self.other = self

def full(): return gc.get_stats()[2]["collections"]

def much():
    kept = [Pair() for _ in range(400_000)]
    return len(kept)

told = {}
"""


def told_by(script: str) -> dict[str, Any]:
    command = [sys.executable, "-c", f"{COUNTING}\n{script}\nprint(json.dumps(told))"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_turns_are_short_while_something_is_loaded_beside_streams_and_as_ever_after() -> None:
    script = """
told['s'] = []
for is_serving in (False, True):
    with loading(is_serving=is_serving):
        told['s'].append(sys.getswitchinterval())
    told['s'].append(sys.getswitchinterval())
"""
    assert told_by(script)["s"] == [0.005, 0.005, 0.0005, 0.005]


def test_nothing_is_walked_through_while_something_large_is_loaded_and_all_is_passed_over_later() -> None:
    told = told_by(
        """
before = full(); much(); told['usual'] = full() - before
with loading(is_serving=True):
    import wave
    before = full(); much(); told['meanwhile'] = full() - before
    junk = [Pair()]; junk.clear(); young = gc.get_stats()[0]["collections"]; much()
    told['young'] = gc.get_stats()[0]["collections"] > young
told['frozen'] = gc.get_freeze_count() > 1000
before = full(); much(); told['after'] = full() - before
"""
    )
    assert told["usual"] > 0
    assert told["meanwhile"] == 0
    assert told["young"]
    assert told["frozen"]
    assert told["after"] > 0


def test_what_was_there_before_is_collected_first_where_nobody_waits() -> None:
    script = """
import weakref
pair = Pair(); there = weakref.ref(pair); gc.collect(); del pair  # old, and a cycle
with loading(is_serving=%s):
    import wave
gc.collect(); told['there'] = there() is not None
collect_everything_again(); gc.collect(); told['in the end'] = there() is not None
"""
    assert told_by(script % False) == {"there": False, "in the end": False}
    assert told_by(script % True) == {"there": True, "in the end": False}, "nothing was walked through"


def test_only_imports_are_worth_passing_over_again() -> None:
    told = told_by(
        """
with loading(is_serving=False):
    pass
first = gc.get_freeze_count(); kept = [Pair() for _ in range(10_000)]
with loading(is_serving=True):
    pass
told['without'] = gc.get_freeze_count() - first
with loading(is_serving=True):
    import wave
told['with'] = gc.get_freeze_count() - first
"""
    )
    assert told["without"] <= 0, "an engine that was built is not kept for good"
    assert told["with"] > 10_000


def test_two_that_overlap_leave_collections_on() -> None:
    told = told_by(
        """
one, other = loading(is_serving=True), loading(is_serving=True)
usual = gc.get_threshold()
one.__enter__(); other.__enter__(); one.__exit__(None, None, None); other.__exit__(None, None, None)
told['same'] = gc.get_threshold() == usual
"""
    )
    assert told["same"]
