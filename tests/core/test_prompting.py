"""Prompts with weights, checked and blended."""

from __future__ import annotations

import math

import pytest

from cmstream.core.errors import InvalidParameters
from cmstream.core.params import ParameterSpec, apply_patch, common_parameters, default_params, json_schema
from cmstream.core.prompting import MAX_TEXTS, Prompting, blended, prompting_of, text_mix

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
