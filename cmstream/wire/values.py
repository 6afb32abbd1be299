"""google.protobuf.Struct ⇄ plain JSON values. Structs nest at most as deep as the protobuf parser lets them (100)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.struct_pb2 import Struct, Value


def json_of(struct: Struct) -> dict[str, Any]:
    """The struct as a dict. Numbers are floats: the wire knows no others; NaN and infinity pass, for checks to refuse."""
    return {name: json_value(value) for name, value in struct.fields.items()}


def struct_of(values: Mapping[str, Any]) -> Struct:
    """The dict as a Struct. Raises ValueError for what is not JSON."""
    struct = Struct()
    struct.update(dict(values))
    return struct


def value_of(value: Any) -> Value:
    """One JSON value. Raises ValueError for what is not JSON."""
    return struct_of({"value": value}).fields["value"]


def json_value(value: Value) -> Any:
    """One value; null where nothing is set."""
    match value.WhichOneof("kind"):
        case "number_value":
            return value.number_value
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "struct_value":
            return json_of(value.struct_value)
        case "list_value":
            return [json_value(item) for item in value.list_value.values]
        case _:
            return None
