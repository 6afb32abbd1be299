"""Damage to good input, by a seed: the same seed does the same damage. Quick, so that CI can afford many cases."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

OFFERS = sorted((Path(__file__).parents[1] / "transport" / "rtc" / "offers").glob("*.sdp"))
NUMBERS = (b"0", b"-1", b"1", b"255", b"65536", b"4294967296", b"99999999999999999999", b"1e309", b"NaN", b"\xd9\xa3", b"")
TOKENS = (
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b"\x0b",
        b"\x00",
        b" ",
        b"=",
        b":",
        b"/",
        b";",
        b"a=",
        b"m=",
        b"v=0\r\n",
        b"\xff",
        b"\xe2\x80\xa8",
    ),
    *(b"a=mid:", b"a=setup:holdconn", b"a=ice-ufrag:", b"a=candidate:", b"a=group:BUNDLE", b"a=rtpmap:96 ", b"a=fmtp:96 "),
    *(b"a=fingerprint:sha-256 ", b"a=rtcp-fb:* nack", b"a=ssrc-group:FID 1 2", b"a=extmap:1 x", b"a=simulcast:send 1;2"),
    *(b"{", b"}", b"[", b"]", b'"', b'"style"', b"\\ud800", b"null", b"\x0a\xff\xff\xff\xff\x0f", b"\x12\x80"),
)

Damage = Callable[[random.Random, bytearray], None]


def mutants(good: Sequence[bytes], seed: int, count: int, most_faults: int = 6) -> Iterator[bytes]:
    """`count` damaged copies of inputs in `good`, each with one fault to `most_faults`."""
    chance = random.Random(seed)
    for _ in range(count):
        data = bytearray(chance.choice(good))
        for _ in range(chance.randint(1, most_faults)):
            chance.choice(DAMAGE)(chance, data)
        yield bytes(data)


def _flip(chance: random.Random, data: bytearray) -> None:
    if data:
        data[chance.randrange(len(data))] = chance.randrange(256)


def _insert(chance: random.Random, data: bytearray) -> None:
    at = chance.randint(0, len(data))
    data[at:at] = chance.choice(TOKENS)


def _cut(chance: random.Random, data: bytearray) -> None:
    start = chance.randint(0, len(data))
    del data[start : start + chance.randint(0, 60)]


def _end(chance: random.Random, data: bytearray) -> None:
    del data[chance.randint(0, len(data)) :]


def _drop_line(chance: random.Random, data: bytearray) -> None:
    _with_lines(data, lambda lines: lines.pop(chance.randrange(len(lines))))


def _repeat_line(chance: random.Random, data: bytearray) -> None:
    _with_lines(data, lambda lines: lines.insert(chance.randint(0, len(lines)), chance.choice(lines)))


def _swap_lines(chance: random.Random, data: bytearray) -> None:
    def swap(lines: list[bytes]) -> None:
        one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
        lines[one], lines[other] = lines[other], lines[one]

    _with_lines(data, swap)


def _change_number(chance: random.Random, data: bytearray) -> None:
    digits = [at for at, byte in enumerate(data) if 48 <= byte <= 57]
    if digits:
        at = chance.choice(digits)
        data[at : at + 1] = chance.choice(NUMBERS)


def _with_lines(data: bytearray, change: Callable[[list[bytes]], object]) -> None:
    lines = bytes(data).split(b"\r\n")
    change(lines)
    data[:] = b"\r\n".join(lines)


DAMAGE: tuple[Damage, ...] = (_flip, _insert, _cut, _end, _drop_line, _repeat_line, _swap_lines, _change_number, _change_number)
