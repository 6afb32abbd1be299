"""Transitions start where the picture is, end exactly where asked, and never jump on the way."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmstream.core.clock import NS_PER_MS
from cmstream.core.look import Look, Transition, look_of, start_transition
from cmstream.core.params import (
    FIXED,
    FOLLOW,
    STROKE_SCALE,
    ParameterSpec,
    apply_patch,
    common_parameters,
    default_params,
    noise_motion_parameter,
)

SPECS = common_parameters(("oil", "ink"))
DEFAULT = default_params(SPECS)
TARGET = apply_patch(SPECS, DEFAULT, {"style": "ink", "strength": 0.2, "seed": 9, "transition_ms": 100})


def test_a_transition_starts_at_the_shown_look_and_ends_exactly_at_the_target() -> None:
    transition = start_transition(look_of(DEFAULT), TARGET, 0)
    assert transition.at(0) == look_of(DEFAULT)
    assert transition.at(100 * NS_PER_MS) == look_of(TARGET)
    assert transition.at(10**12) == look_of(TARGET)


def test_half_way_is_half_of_each_style_and_strength() -> None:
    half = start_transition(look_of(DEFAULT), TARGET, 0).at(50 * NS_PER_MS)
    assert dict(half.style) == pytest.approx({"oil": 0.5, "ink": 0.5})
    assert half.strength == pytest.approx(0.6)
    assert dict(half.seeds) == pytest.approx({0: math.sqrt(0.5), 9: math.sqrt(0.5)})


def test_stroke_size_changes_by_equal_factors_and_is_1_where_a_model_does_not_know_it() -> None:
    specs = (*SPECS, ParameterSpec(STROKE_SCALE, "number", 1.0, "", "", 0.5, 2.0))
    finest = apply_patch(specs, default_params(specs), {"stroke_scale": 0.5})
    coarsest = apply_patch(specs, finest, {"stroke_scale": 2.0, "transition_ms": 100})
    transition = start_transition(look_of(finest), coarsest, 0)
    assert [transition.at(ms * NS_PER_MS).stroke_scale for ms in (0, 50, 100)] == pytest.approx([0.5, 1.0, 2.0])
    assert look_of(DEFAULT).stroke_scale == 1.0


@given(st.lists(st.tuples(st.integers(0, 20), st.floats(0, 1)), min_size=1, max_size=12))
def test_however_often_it_is_interrupted_the_noise_keeps_unit_variance_and_few_seeds(changes: list[tuple[int, float]]) -> None:
    look = look_of(DEFAULT)
    for seed, part in changes:
        params = apply_patch(SPECS, DEFAULT, {"seed": seed, "transition_ms": 100})
        look = Transition(look, look_of(params), 0, 1000).at(round(1000 * part))
        assert math.fsum(c * c for _, c in look.seeds) == pytest.approx(1)
        assert len(look.seeds) <= 4


def test_no_step_of_a_long_transition_is_larger_than_its_share() -> None:
    transition = start_transition(look_of(DEFAULT), TARGET, 0)
    looks: list[Look] = [transition.at(ms * NS_PER_MS) for ms in range(101)]
    steps = [abs(a.strength - b.strength) for a, b in zip(looks, looks[1:], strict=False)]
    assert max(steps) < 0.8 / 100 * 1.01


def test_noise_follows_from_the_first_moment_of_a_transition_and_is_fixed_where_an_engine_does_not_know_better() -> None:
    specs = (*SPECS, noise_motion_parameter())
    resting = apply_patch(specs, default_params(specs), {"noise_motion": FIXED})
    following = apply_patch(specs, resting, {"noise_motion": FOLLOW, "transition_ms": 100})
    assert start_transition(look_of(resting), following, 0).at(0).noise_motion == FOLLOW
    assert look_of(DEFAULT).noise_motion == FIXED
