"""How often each of many callers may do something. Event loop only; bounded memory; time comes from the clock."""

from __future__ import annotations

from collections import OrderedDict

from cmstream.core.clock import NS_PER_S, Clock

NS_PER_MINUTE = 60 * NS_PER_S
BURST_SHARE = 4
MOST_CALLERS = 4096


class Throttle:
    """`per_minute` for each caller, a quarter of that at once; 0 lets everything pass.

    The generic cell rate algorithm (ITU-T I.371, annex A): of each caller only the time is kept at which all that it did would
    have been due. The caller that was heard of longest ago is forgotten first, which gives it a full burst again.
    """

    def __init__(self, per_minute: int, clock: Clock, *, most_callers: int = MOST_CALLERS) -> None:
        self._clock = clock
        self._interval_ns = NS_PER_MINUTE // per_minute if per_minute else 0
        self._tolerance_ns = self._interval_ns * (max(1, per_minute // BURST_SHARE) - 1)
        self._most_callers = most_callers
        self._due_ns: OrderedDict[str, int] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Throttle {len(self._due_ns)} callers>"

    def __len__(self) -> int:
        return len(self._due_ns)

    def wait_s(self, caller: str) -> float:
        """0 where the caller may go on, and then it is counted; else in how many seconds it may."""
        if not self._interval_ns:
            return 0.0
        now_ns = self._clock.now_ns()
        due_ns = max(now_ns, self._due_ns.get(caller, now_ns))
        early_ns = due_ns - now_ns - self._tolerance_ns
        if early_ns > 0:
            return early_ns / NS_PER_S
        self._due_ns[caller] = due_ns + self._interval_ns
        self._due_ns.move_to_end(caller)
        if len(self._due_ns) > self._most_callers:
            self._due_ns.popitem(last=False)
        return 0.0

    def give_back(self, caller: str) -> None:
        """What `caller` was counted for last came to nothing and is not held against it."""
        if caller in self._due_ns:
            self._due_ns[caller] -= self._interval_ns
