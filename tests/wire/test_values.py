"""cmstream/wire/values.py, control.py"""

from __future__ import annotations

import math
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct, Value
from hypothesis import given
from hypothesis import strategies as st

from cmstream.core.errors import InvalidInput, InvalidParameters
from cmstream.core.model_info import ModelInfo
from cmstream.core.params import ParameterSpec, common_parameters, noise_motion_parameter
from cmstream.v1.control_pb2 import OpenStream
from cmstream.v1.frame_pb2 import PIXEL_FORMAT_JPEG, PIXEL_FORMAT_RGB24
from cmstream.wire.control import check_open, model_message, model_of, rejected_message, rejection_of
from cmstream.wire.values import json_of, json_value, struct_of, value_of

json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), json_values, max_size=4))
def test_json_travels_unchanged(values: dict[str, Any]) -> None:
    assert json_of(Struct.FromString(struct_of(values).SerializeToString())) == values


def test_nan_passes_for_the_parameters_own_check_to_refuse_and_an_unset_value_is_null() -> None:
    assert math.isnan(json_of(struct_of({"x": math.nan}))["x"])
    assert json_value(Value()) is None
    assert json_value(value_of(None)) is None


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes"])
def test_what_is_not_json_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="nexpected type"):
        struct_of({"x": value})


def test_a_model_travels_with_all_of_its_parameters() -> None:
    prompt = ParameterSpec("prompt", "string", "a fox", "Prompt", "What to paint.")
    info = ModelInfo(
        "m", "M", "MIT", ("a", "b"), (*common_parameters(("a", "b")), prompt, noise_motion_parameter()), "cpu", "float32"
    )
    assert model_of(model_message(info)) == info
    (seed,) = (spec for spec in model_of(model_message(info)).parameters if spec.name == "seed")
    assert isinstance(seed.default, int)


def test_a_parameter_of_a_later_kind_is_left_out() -> None:
    message = model_message(ModelInfo("m", "M", "MIT", ("a",), common_parameters(("a",)), "cpu", "float32"))
    message.parameters[0].kind = 99  # type: ignore[assignment]
    assert [spec.name for spec in model_of(message).parameters] == ["strength", "seed", "transition_ms"]


def test_an_opening_has_defaults_and_bounds() -> None:
    assert check_open(OpenStream()) == (PIXEL_FORMAT_RGB24, 85)
    assert check_open(OpenStream(result_format=PIXEL_FORMAT_JPEG, jpeg_quality=1)) == (PIXEL_FORMAT_JPEG, 1)
    with pytest.raises(InvalidInput, match="jpeg_quality"):
        check_open(OpenStream(jpeg_quality=2**32 - 1))


def test_a_refusal_travels_with_every_problem() -> None:
    error = InvalidParameters({"seed": "must be whole", "strength": "too much"})
    message = rejected_message(5, error).parameters_rejected
    assert message.request_id == 5
    assert rejection_of(message).problems == error.problems
