"""The life of a stream as a table. Pure: a state and an event give the next state, or the event is refused.

          publish        unpublish      drain          close
NEW       LIVE           –              DRAINING       CLOSED
LIVE      –              NEW            DRAINING       CLOSED
DRAINING  –              DRAINING       DRAINING       CLOSED
CLOSED    –              CLOSED         CLOSED         CLOSED

A stream without publisher is NEW again: it keeps its parameters and viewers until it lingers no more.
"""

from __future__ import annotations

from enum import StrEnum

from cmstream.core.errors import Conflict, Unavailable


class State(StrEnum):
    NEW = "new"
    LIVE = "live"
    DRAINING = "draining"
    CLOSED = "closed"


class Event(StrEnum):
    PUBLISH = "publish"
    UNPUBLISH = "unpublish"
    DRAIN = "drain"
    CLOSE = "close"


_TABLE: dict[tuple[State, Event], State] = {
    (State.NEW, Event.PUBLISH): State.LIVE,
    (State.NEW, Event.DRAIN): State.DRAINING,
    (State.NEW, Event.CLOSE): State.CLOSED,
    (State.LIVE, Event.UNPUBLISH): State.NEW,
    (State.LIVE, Event.DRAIN): State.DRAINING,
    (State.LIVE, Event.CLOSE): State.CLOSED,
    (State.DRAINING, Event.UNPUBLISH): State.DRAINING,
    (State.DRAINING, Event.DRAIN): State.DRAINING,
    (State.DRAINING, Event.CLOSE): State.CLOSED,
    (State.CLOSED, Event.UNPUBLISH): State.CLOSED,
    (State.CLOSED, Event.DRAIN): State.CLOSED,
    (State.CLOSED, Event.CLOSE): State.CLOSED,
}


def next_state(state: State, event: Event) -> State:
    """The state after `event`. Raises Conflict or Unavailable, worded for the caller, where the table has no entry."""
    following = _TABLE.get((state, event))
    if following is not None:
        return following
    if state is State.LIVE:
        raise Conflict("the stream has a publisher already; choose another name or end that publisher first")
    raise Unavailable(f"the stream is {state}; try again in a moment")
