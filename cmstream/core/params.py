"""Stream parameters: what a model understands, and the checked values of one stream.

Owns the vocabulary (`ParameterSpec`), the check of a patch against it, and the JSON Schema made from it. Pure data:
runs anywhere, knows nothing of transports, torch or threads.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from cmstream.core.errors import InvalidParameters
from cmstream.core.prompting import MAX_TEXT, MAX_TEXTS, text_mix
from cmstream.core.sent_picture import MAX_PICTURE_URL, SentPicture, sent_picture

JsonValue: TypeAlias = Any
Kind = Literal["number", "integer", "style", "string", "choice", "weights", "picture"]

MAX_SEED = 2**32 - 1
MAX_TRANSITION_MS = 10_000
MAX_STRING = 2_000

STROKE_SCALE = "stroke_scale"
"""The extra parameter of models that can paint finer or coarser; part of a `Look`, so that it blends over time."""


NOISE_MOTION = "noise_motion"
"""The extra parameter of engines that can carry noise along with the picture."""
FIXED, FOLLOW = "fixed", "follow"

BUDGET_MS = "budget_ms"
"""The extra parameter of servers: how old a frame of the stream may get."""
MIN_BUDGET_MS = 10
MAX_BUDGET_MS = 5_000

WATERMARK = "watermark"
"""The extra parameter of every stream that switches measuring mode; `core.watermark` says what is measured with."""
OFF, PASS = "off", "pass"

SKIP_STILL = "skip_still"
"""The extra parameter of every stream: what becomes of a frame that shows what was styled last. AUTO or OFF."""
AUTO = "auto"


@dataclass(frozen=True, slots=True)
class ParameterSpec:
    """One parameter that is understood: `number` and `integer` have an inclusive range, `style` and `choice` names.

    Of a `choice` exactly one name is chosen, a `style` may mix several, and `weights` have a number in range for any of them.
    A `picture` is a `SentPicture`, or empty for none.
    """

    name: str
    kind: Kind
    default: JsonValue
    title: str
    description: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    is_mixed: bool = False
    """A `string` that may also be an object of texts and their weights."""


def common_parameters(styles: tuple[str, ...]) -> tuple[ParameterSpec, ...]:
    """The four parameters every model understands (contract.md, "Parameters every model understands")."""
    return (
        ParameterSpec("style", "style", styles[0], "Style", "A style, or weights of several that are mixed.", choices=styles),
        ParameterSpec("strength", "number", 1.0, "Strength", "0 returns the source, 1 the full effect.", 0.0, 1.0),
        ParameterSpec("seed", "integer", 0, "Seed", "Another seed, another painting of the same frame.", 0, MAX_SEED),
        ParameterSpec(
            "transition_ms", "number", 200.0, "Transition (ms)", "How long a change takes to blend in.", 0.0, MAX_TRANSITION_MS
        ),
    )


def noise_motion_parameter() -> ParameterSpec:
    """Of engines that keep the state it takes; a model knows nothing of it."""
    about = "Strokes keep their place on the screen (fixed), or stick to what is painted and move with it (follow)."
    return ParameterSpec(NOISE_MOTION, "choice", FOLLOW, "Strokes", about, choices=(FIXED, FOLLOW))


def budget_parameter(default_ms: float) -> ParameterSpec:
    """Of servers, which schedule streams; a model knows nothing of it."""
    about = "Under load a stream loses frames, then size, before its frames get older than this."
    return ParameterSpec(BUDGET_MS, "number", default_ms, "Latency budget (ms)", about, MIN_BUDGET_MS, MAX_BUDGET_MS)


def watermark_parameter() -> ParameterSpec:
    """Of every stream, whatever its model and engine."""
    about = "pass carries the mark that a publisher drew into a corner over into the result, where a viewer reads its age."
    return ParameterSpec(WATERMARK, "choice", OFF, "Watermark", about, choices=(OFF, PASS))


def skip_still_parameter(default: str = AUTO) -> ParameterSpec:
    """Of every stream, whatever its model and engine."""
    about = "Send the last result again while the picture stands still (auto), or style every frame (off)."
    return ParameterSpec(SKIP_STILL, "choice", default, "Still pictures", about, choices=(AUTO, OFF))


StyleMix: TypeAlias = tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Params:
    """The accepted parameters of one stream. `style` is a normalised mix: names in the model's order, weights > 0, sum 1."""

    style: StyleMix
    strength: float
    seed: int
    transition_ms: float
    extra: Mapping[str, JsonValue] = field(default_factory=lambda: MappingProxyType({}))

    def as_json(self) -> dict[str, JsonValue]:
        """The state as the HTTP API and gRPC show it: one style as its name, a mix as an object, a picture as its digest."""
        style: JsonValue = self.style[0][0] if len(self.style) == 1 else dict(self.style)
        extra = {name: value.digest if isinstance(value, SentPicture) else value for name, value in self.extra.items()}
        return {
            "style": style,
            "strength": self.strength,
            "seed": self.seed,
            "transition_ms": self.transition_ms,
            **extra,
        }


def default_params(specs: tuple[ParameterSpec, ...]) -> Params:
    """The parameters a new stream starts with."""
    checked = {spec.name: _check(spec, spec.default) for spec in specs}
    return _build(checked)


def apply_patch(specs: tuple[ParameterSpec, ...], params: Params, patch: Mapping[str, JsonValue]) -> Params:
    """`params` with the subset `patch` changed. Raises InvalidParameters naming every bad field; nothing changes then."""
    known = {spec.name: spec for spec in specs}
    problems: dict[str, str] = {}
    checked: dict[str, JsonValue] = {}
    for name, value in patch.items():
        spec = known.get(name)
        if spec is None:
            problems[name] = f"unknown parameter; this model knows {', '.join(known)}"
            continue
        try:
            checked[name] = _check(spec, value, params.extra.get(name))
        except ValueError as error:
            problems[name] = str(error)
    if problems:
        raise InvalidParameters(problems)
    return _merge(params, checked)


def carried_over(before: tuple[ParameterSpec, ...], params: Params, specs: tuple[ParameterSpec, ...]) -> Params:
    """What becomes of `params`, which are of `before`, where another model understands `specs`.

    What was chosen is kept where the model admits it. The rest takes its default: what it does not admit, what was left at
    the default of `before`, and what is new. What it does not know is gone.
    """
    defaults = default_params(before).as_json()
    chosen = {name: value for name, value in params.as_json().items() if value != defaults[name]}
    checked: dict[str, JsonValue] = {}
    for spec in specs:
        try:
            checked[spec.name] = _check(spec, chosen.get(spec.name, spec.default), params.extra.get(spec.name))
        except ValueError:
            checked[spec.name] = _check(spec, spec.default)
    return _build(checked)


def _build(checked: Mapping[str, JsonValue]) -> Params:
    common = {name: checked[name] for name in ("style", "strength", "seed", "transition_ms")}
    extra = {name: value for name, value in checked.items() if name not in common}
    return Params(**common, extra=MappingProxyType(extra))


def _merge(params: Params, checked: Mapping[str, JsonValue]) -> Params:
    common = {name: value for name, value in checked.items() if name in ("style", "strength", "seed", "transition_ms")}
    extra = {name: value for name, value in checked.items() if name not in common}
    return replace(params, **common, extra=MappingProxyType({**params.extra, **extra}))


def _check(spec: ParameterSpec, value: JsonValue, now: JsonValue = None) -> JsonValue:
    """`now` is what there is, for a picture's digest to stand for."""
    match spec.kind:
        case "number":
            return _number(spec, value)
        case "integer":
            return _integer(spec, value)
        case "style":
            return _style_mix(spec.choices, value)
        case "string":
            return _text(spec, value)
        case "weights":
            return _weights(spec, value)
        case "picture":
            return _picture(value, now)
        case "choice":
            if not isinstance(value, str) or value not in spec.choices:
                raise ValueError(f"must be one of {', '.join(spec.choices)}")
            return value


def _number(spec: ParameterSpec, value: JsonValue) -> float:
    assert spec.minimum is not None
    assert spec.maximum is not None
    good = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not good or not spec.minimum <= value <= spec.maximum:  # NaN and infinities fail the comparison
        sort = "whole number" if spec.kind == "integer" else "number"
        raise ValueError(f"must be a {sort} from {spec.minimum:.15g} to {spec.maximum:.15g}")
    return float(value)


def _integer(spec: ParameterSpec, value: JsonValue) -> int:
    number = _number(spec, value)
    if number != int(number):
        raise ValueError(f"must be a whole number from {spec.minimum:g} to {spec.maximum:g}")
    return int(number)


def _text(spec: ParameterSpec, value: JsonValue) -> JsonValue:
    if spec.is_mixed:
        mix = text_mix(value)
        return value if isinstance(value, str) else dict(mix)
    if not isinstance(value, str) or len(value) > MAX_STRING:
        raise ValueError(f"must be text of at most {MAX_STRING} characters")
    return value


def _picture(value: JsonValue, now: JsonValue) -> SentPicture | str:
    """The digest stands for the picture that there is: who sends back a whole state changes nothing."""
    if isinstance(now, SentPicture) and value == now.digest:
        return now
    return "" if value == "" else sent_picture(value)


def _weights(spec: ParameterSpec, value: JsonValue) -> dict[str, float]:
    if not isinstance(value, Mapping):
        raise ValueError(f"must be an object of weights for {', '.join(spec.choices)}")
    for name in value:
        if name not in spec.choices:
            raise ValueError(f"there is no {str(name)[:40]!r}; choose from {', '.join(spec.choices)}")
    found = {name: _number(replace(spec, kind="number"), weight) for name, weight in value.items()}
    return {name: weight for name, weight in sorted(found.items()) if weight}


def _style_mix(choices: tuple[str, ...], value: JsonValue) -> StyleMix:
    weights = {value: 1.0} if isinstance(value, str) else value
    if not isinstance(weights, Mapping) or not weights:
        raise ValueError("must be the name of a style or an object of style weights")
    for name, weight in weights.items():
        if name not in choices:
            raise ValueError(f"unknown style {str(name)[:40]!r}; choose from {', '.join(choices)}")
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 <= weight <= 1e6:
            raise ValueError(f"the weight of {name!r} must be a number of at least 0")
    total = math.fsum(weights.values())
    if total <= 0:
        raise ValueError("at least one style needs a weight above 0")
    return tuple((name, weights[name] / total) for name in choices if weights.get(name, 0) > 0)


def json_schema(specs: tuple[ParameterSpec, ...]) -> dict[str, JsonValue]:
    """JSON Schema (2020-12) of a PATCH body: clients build their controls from it."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "additionalProperties": False,
        "properties": {spec.name: _property(spec) for spec in specs},
    }


def _property(spec: ParameterSpec) -> dict[str, JsonValue]:
    about = {"title": spec.title, "description": spec.description, "default": spec.default}
    if spec.kind == "style":
        weights = {name: {"type": "number", "minimum": 0} for name in spec.choices}
        mix = {"type": "object", "properties": weights, "additionalProperties": False, "minProperties": 1}
        return {**about, "oneOf": [{"type": "string", "enum": list(spec.choices)}, mix]}
    if spec.kind == "weights":
        weight: JsonValue = {"type": "number", "minimum": spec.minimum, "maximum": spec.maximum}
        named = dict.fromkeys(spec.choices, weight)
        return {**about, "type": "object", "properties": named, "additionalProperties": False}
    if spec.kind == "string" and spec.is_mixed:
        texts = {"type": "object", "additionalProperties": {"type": "number", "minimum": 0}, "maxProperties": MAX_TEXTS}
        return {**about, "oneOf": [{"type": "string", "maxLength": MAX_TEXT}, {**texts, "minProperties": 1}]}
    if spec.kind == "string":
        return {**about, "type": "string", "maxLength": MAX_STRING}
    if spec.kind == "picture":
        return {**about, "type": "string", "format": "data-url", "maxLength": MAX_PICTURE_URL}
    if spec.kind == "choice":
        return {**about, "type": "string", "enum": list(spec.choices)}
    return {**about, "type": spec.kind, "minimum": spec.minimum, "maximum": spec.maximum}
