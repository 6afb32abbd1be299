"""Control messages and capabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from cmstream.core.errors import InvalidParameters
from cmstream.core.model_info import Listing, ModelInfo
from cmstream.core.params import Kind, ParameterSpec
from cmstream.core.picture import DEFAULT_JPEG_QUALITY
from cmstream.v1 import control_pb2, frame_pb2
from cmstream.v1 import style_service_pb2 as pb
from cmstream.wire.errors import BadField
from cmstream.wire.values import json_value, value_of

_KINDS: dict[Kind, pb.ParameterKind.ValueType] = {
    "number": pb.PARAMETER_KIND_NUMBER,
    "integer": pb.PARAMETER_KIND_INTEGER,
    "style": pb.PARAMETER_KIND_STYLE,
    "string": pb.PARAMETER_KIND_STRING,
    "choice": pb.PARAMETER_KIND_CHOICE,
    "weights": pb.PARAMETER_KIND_WEIGHTS,
    "picture": pb.PARAMETER_KIND_PICTURE,
}
_KINDS_BACK = {value: kind for kind, value in _KINDS.items()}


def check_open(message: control_pb2.OpenStream) -> tuple[frame_pb2.PixelFormat.ValueType, int]:
    """(result format, JPEG quality) with the defaults filled in. Raises InvalidInput naming the field."""
    formats = (frame_pb2.PIXEL_FORMAT_UNSPECIFIED, frame_pb2.PIXEL_FORMAT_RGB24, frame_pb2.PIXEL_FORMAT_JPEG)
    if message.result_format not in formats:
        raise BadField("open.result_format", f"must be RGB24 (1) or JPEG (2), not {message.result_format}")
    if message.jpeg_quality > 100:
        raise BadField("open.jpeg_quality", f"must be 1 to 100, or 0 for {DEFAULT_JPEG_QUALITY}, not {message.jpeg_quality}")
    return message.result_format or frame_pb2.PIXEL_FORMAT_RGB24, message.jpeg_quality or DEFAULT_JPEG_QUALITY


def rejected_message(request_id: int, error: InvalidParameters) -> pb.StreamResponse:
    """The in-stream answer to a parameter change that was refused."""
    violations = [control_pb2.FieldViolation(field=name[:64], description=text) for name, text in error.problems.items()]
    rejected = control_pb2.ParametersRejected(request_id=request_id, violations=violations)
    return pb.StreamResponse(parameters_rejected=rejected)


def rejection_of(message: control_pb2.ParametersRejected) -> InvalidParameters:
    """The error that a refusal stands for."""
    return InvalidParameters({violation.field: violation.description for violation in message.violations})


def model_message(info: ModelInfo) -> pb.Model:
    """The loaded model."""
    return pb.Model(
        name=info.name,
        title=info.title,
        licence=info.licence,
        styles=info.styles,
        parameters=[_parameter_message(spec) for spec in info.parameters],
        device=info.device,
        precision=info.precision,
    )


def available_message(listing: Listing) -> pb.AvailableModel:
    """A model that may be asked for."""
    return pb.AvailableModel(**asdict(listing))


def listing_of(message: pb.AvailableModel) -> Listing:
    """The same as a client sees it."""
    return Listing(message.name, message.title, message.licence, message.size_bytes, message.needs, message.present)


def model_of(message: pb.Model) -> ModelInfo:
    """The model as a client sees it; parameters of a kind that this version does not know are left out."""
    return ModelInfo(
        message.name,
        message.title,
        message.licence,
        tuple(message.styles),
        _specs_of(message.parameters),
        message.device,
        message.precision,
    )


def _parameter_message(spec: ParameterSpec) -> pb.Parameter:
    return pb.Parameter(
        name=spec.name,
        kind=_KINDS[spec.kind],
        title=spec.title,
        description=spec.description,
        default_value=value_of(spec.default),
        minimum=spec.minimum,
        maximum=spec.maximum,
        choices=spec.choices,
        is_mixed=spec.is_mixed,
    )


def _specs_of(messages: Sequence[pb.Parameter]) -> tuple[ParameterSpec, ...]:
    return tuple(_spec_of(message, _KINDS_BACK[message.kind]) for message in messages if message.kind in _KINDS_BACK)


def _spec_of(message: pb.Parameter, kind: Kind) -> ParameterSpec:
    default = json_value(message.default_value)
    return ParameterSpec(
        message.name,
        kind,
        int(default or 0) if kind == "integer" else default,
        message.title,
        message.description,
        message.minimum if message.HasField("minimum") else None,
        message.maximum if message.HasField("maximum") else None,
        tuple(message.choices),
        message.is_mixed,
    )
