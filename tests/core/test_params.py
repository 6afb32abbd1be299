"""Patches are checked whole, mixes normalised, and the schema says what the check enforces."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmstream.core.errors import InvalidParameters
from cmstream.core.params import (
    MAX_SEED,
    ParameterSpec,
    apply_patch,
    carried_over,
    common_parameters,
    default_params,
    json_schema,
    noise_motion_parameter,
)

SPECS = common_parameters(("oil", "ink"))
DEFAULT = default_params(SPECS)


def test_a_patch_changes_only_what_it_names() -> None:
    params = apply_patch(SPECS, DEFAULT, {"strength": 0.25})
    assert params.strength == 0.25
    assert (params.style, params.seed, params.transition_ms) == (DEFAULT.style, DEFAULT.seed, DEFAULT.transition_ms)


@pytest.mark.parametrize(
    ("patch", "field"),
    [
        ({"strength": 1.01}, "strength"),
        ({"strength": -0.01}, "strength"),
        ({"strength": math.nan}, "strength"),
        ({"strength": "1"}, "strength"),
        ({"strength": True}, "strength"),
        ({"seed": 0.5}, "seed"),
        ({"seed": 10**400}, "seed"),
        ({"strength": math.inf}, "strength"),
        ({"seed": MAX_SEED + 1}, "seed"),
        ({"style": "cubist"}, "style"),
        ({"style": {}}, "style"),
        ({"style": {"oil": 0}}, "style"),
        ({"style": {"oil": -1}}, "style"),
        ({"style": {"oil": math.inf}}, "style"),
        ({"style": ["oil"]}, "style"),
        ({"transition_ms": 10_001}, "transition_ms"),
        ({"colour": 1}, "colour"),
    ],
)
def test_a_bad_value_is_refused_by_its_name(patch: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidParameters) as caught:
        apply_patch(SPECS, DEFAULT, patch)
    assert set(caught.value.problems) == {field}


def test_one_bad_field_refuses_the_whole_patch_and_every_bad_field_is_named() -> None:
    with pytest.raises(InvalidParameters) as caught:
        apply_patch(SPECS, DEFAULT, {"strength": 0.5, "seed": -1, "nonsense": 0})
    assert set(caught.value.problems) == {"seed", "nonsense"}


@given(st.dictionaries(st.sampled_from(["oil", "ink"]), st.floats(0, 1e6), min_size=1))
def test_style_weights_are_normalised_to_one(weights: dict[str, float]) -> None:
    if math.fsum(weights.values()) <= 0:
        return
    mix = apply_patch(SPECS, DEFAULT, {"style": weights}).style
    assert math.fsum(weight for _, weight in mix) == pytest.approx(1)


@given(
    st.dictionaries(
        st.text(max_size=20).filter(lambda name: name not in DEFAULT.as_json()),
        st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists),
    )
)
def test_hostile_patches_either_apply_or_name_their_problems(patch: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameters) if set(patch) - set(DEFAULT.as_json()) else nullcontext() as caught:
        apply_patch(SPECS, DEFAULT, patch)
    if caught is not None:
        assert set(caught.value.problems) <= {*patch}


def test_a_model_s_own_parameters_are_kept_beside_the_common_ones() -> None:
    specs = (*SPECS, ParameterSpec("prompt", "string", "", "Prompt", "What to see."))
    params = apply_patch(specs, default_params(specs), {"prompt": "a storm"})
    assert params.as_json() == {**DEFAULT.as_json(), "prompt": "a storm"}


def test_the_schema_states_the_ranges_that_are_enforced() -> None:
    properties = json_schema(SPECS)["properties"]
    assert (properties["strength"]["minimum"], properties["strength"]["maximum"]) == (0, 1)
    assert properties["style"]["oneOf"][0]["enum"] == ["oil", "ink"]
    assert json_schema(SPECS)["additionalProperties"] is False


@pytest.mark.parametrize("value", ["drift", "", None, 1, {"follow": 1}, ["follow"]])
def test_a_choice_takes_one_of_its_names_and_nothing_else(value: Any) -> None:
    specs = (*SPECS, noise_motion_parameter())
    assert apply_patch(specs, default_params(specs), {"noise_motion": "fixed"}).extra["noise_motion"] == "fixed"
    with pytest.raises(InvalidParameters, match="noise_motion: must be one of fixed, follow"):
        apply_patch(specs, default_params(specs), {"noise_motion": value})


def test_the_schema_of_a_choice_lists_its_names() -> None:
    property_ = json_schema((noise_motion_parameter(),))["properties"]["noise_motion"]
    assert (property_["type"], property_["enum"], property_["default"]) == ("string", ["fixed", "follow"], "follow")


def test_what_was_chosen_goes_over_to_another_model_where_that_admits_it() -> None:
    before = (
        *SPECS,
        ParameterSpec("steps", "integer", 1, "Steps", "", 1, 8),
        ParameterSpec("prompt", "string", "", "Prompt", ""),
    )
    specs = (
        *common_parameters(("ink", "wash")),
        ParameterSpec("steps", "integer", 4, "Steps", "", 2, 4),
        noise_motion_parameter(),
    )
    had = apply_patch(
        before, default_params(before), {"style": "ink", "strength": 0.25, "seed": 7, "steps": 8, "prompt": "fog"}
    )
    carried = carried_over(before, had, specs)
    kept = {"style": "ink", "strength": 0.25, "seed": 7}
    assert carried.as_json() == {**default_params(specs).as_json(), **kept}
    assert carried.extra["steps"] == 4, "8 is more than it admits"


def test_a_style_that_the_other_model_lacks_becomes_its_default_alone_or_in_a_mix() -> None:
    specs = common_parameters(("wash", "ink"))
    for style in ("oil", {"oil": 1, "ink": 1}):
        assert carried_over(SPECS, apply_patch(SPECS, DEFAULT, {"style": style}), specs).style == (("wash", 1.0),)
    both = common_parameters(("wash", "oil", "ink"))
    mixed = apply_patch(SPECS, DEFAULT, {"style": {"oil": 1, "ink": 3}})
    assert carried_over(SPECS, mixed, both).style == (("oil", 0.25), ("ink", 0.75))


def test_what_was_left_at_its_default_takes_that_of_the_other_model() -> None:
    gentle = tuple(replace(spec, default=0.4) if spec.name == "strength" else spec for spec in SPECS)
    assert carried_over(SPECS, DEFAULT, gentle).strength == 0.4
    assert carried_over(SPECS, apply_patch(SPECS, DEFAULT, {"strength": 0.9}), gentle).strength == 0.9
