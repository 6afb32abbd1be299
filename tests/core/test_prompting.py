"""Prompts with weights, checked and blended."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from cmstream.core.errors import InvalidParameters
from cmstream.core.params import ParameterSpec, apply_patch, common_parameters, default_params, json_schema
from cmstream.core.prompting import MAX_TEXTS, Prompting, blended, prompting_of, text_mix
from cmstream.core.sent_picture import sent_picture
from tests.core.sending import picture_url

SPECS = (*common_parameters(("prompt",)), ParameterSpec("prompt", "string", "a cat", "Prompt", "", is_mixed=True))


def test_a_text_and_a_mix_of_texts_are_accepted() -> None:
    params = default_params(SPECS)
    assert prompting_of(params.extra) == Prompting((("a cat", 1.0),))
    params = apply_patch(SPECS, params, {"prompt": {"dog": 3, "cat": 1}})
    assert params.as_json()["prompt"] == {"cat": 0.25, "dog": 0.75}
    assert prompting_of(params.extra) == Prompting((("cat", 0.25), ("dog", 0.75)))


@pytest.mark.parametrize(
    "value",
    [7, None, [], {}, {"a": -1}, {"a": 0}, {"a": True}, {"a": math.nan}, "x" * 2001, {f"{n}": 1 for n in range(MAX_TEXTS + 1)}],
)
def test_what_is_no_prompt_is_refused_and_nothing_changes(value: object) -> None:
    params = default_params(SPECS)
    with pytest.raises(InvalidParameters, match="prompt: "):
        apply_patch(SPECS, params, {"prompt": value})
    assert params.extra["prompt"] == "a cat"


def test_a_model_without_prompts_has_no_prompting() -> None:
    assert prompting_of({}) is None
    assert blended(None, None, 0.5) is None


def test_the_schema_says_both_forms() -> None:
    one_of = json_schema(SPECS)["properties"]["prompt"]["oneOf"]
    assert [form["type"] for form in one_of] == ["string", "object"]


def test_a_blend_moves_weights_and_ends_where_it_should() -> None:
    before, after = Prompting((("a", 1.0),), guidance=1.0), Prompting(text_mix({"b": 1, "c": 1}), guidance=3.0)
    half = blended(before, after, 0.5)
    assert half is not None
    assert dict(half.prompt) == pytest.approx({"a": 0.5, "b": 0.25, "c": 0.25})
    assert half.guidance == 2.0
    assert blended(before, after, 1.0) == after


def test_a_blend_of_blends_keeps_few_texts() -> None:
    shown: Prompting | None = Prompting((("0", 1.0),))
    for index in range(1, 20):
        shown = blended(shown, Prompting(((str(index), 1.0),)), 0.4)
        assert shown is not None
        assert len(shown.prompt) <= MAX_TEXTS
        assert math.fsum(weight for _, weight in shown.prompt) == pytest.approx(1)


def test_what_else_is_asked_for_is_read_and_a_scale_without_a_picture_is_none() -> None:
    picture = sent_picture(picture_url(1))
    asked = {"feedback": 0.5, "structure": 0.2, "reference": picture, "reference_scale": 0.7, "eta": 0.1}
    expected = Prompting((("a", 1.0),), feedback=0.5, structure=0.2, reference=picture, reference_scale=0.7, eta=0.1)
    assert prompting_of({"prompt": "a", **asked}) == expected
    without = prompting_of({"prompt": "a", "reference": "", "reference_scale": 0.7})
    assert without == Prompting((("a", 1.0),))


def test_scales_blend_and_a_picture_comes_and_goes_by_its_own() -> None:
    one, other = (sent_picture(picture_url(seed)) for seed in (1, 2))
    plain = Prompting((("a", 1.0),))
    looked = Prompting((("a", 1.0),), feedback=0.8, structure=1.0, reference=one, reference_scale=0.6, eta=1.0)
    for before, after, part in ((plain, looked, 0.25), (looked, plain, 0.75)):
        found = blended(before, after, part)
        assert found is not None
        assert (found.reference, found.eta) == (one, after.eta)
        assert (found.feedback, found.structure, found.reference_scale) == pytest.approx((0.2, 0.25, 0.15))
    swapped = blended(looked, replace(looked, reference=other, reference_scale=0.2), 0.5)
    assert swapped is not None
    assert swapped.reference == other
    assert swapped.reference_scale == pytest.approx(0.4)
