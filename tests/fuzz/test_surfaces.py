"""Twenty thousand damaged inputs and more: each surface answers every one of them with what is meant for it."""

from __future__ import annotations

import sys
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.good import GOOD
from tests.fuzz.mutation import mutants
from tests.fuzz.surfaces import SURFACES

DRAWS, MUTANTS_A_DRAW = 300, 20
WANTED = 20_000


@pytest.mark.timeout(240)
def test_no_input_however_damaged_gets_anything_but_an_answer_of_ours() -> None:
    ends: dict[str, Counter[str]] = {name: Counter() for name in SURFACES}

    @settings(max_examples=DRAWS, database=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 2**64), st.binary(max_size=120), st.text(max_size=120))
    def fuzz(seed: int, raw: bytes, text: str) -> None:
        for name, surface in SURFACES.items():
            for data in (raw, text.encode(), *mutants(GOOD[name], seed, MUTANTS_A_DRAW)):
                ends[name][surface(data)] += 1

    fuzz()
    cases = sum(sum(counts.values()) for counts in ends.values())
    sys.stdout.write(f"\n{cases} cases: {', '.join(f'{name} {dict(counts)}' for name, counts in ends.items())}\n")
    assert cases >= WANTED
    assert set(ends["offer"]) == {"taken", "400", "422"}
    assert set(ends["fragment"]) >= {"taken", "400"}
    assert set(ends["parameters"]) == {"taken", "400", "422"}
    assert set(ends["message"]) == {"taken", "400"}


@pytest.mark.parametrize("name", SURFACES)
def test_good_input_is_taken(name: str) -> None:
    assert {SURFACES[name](data) for data in GOOD[name]} >= {"taken"}
