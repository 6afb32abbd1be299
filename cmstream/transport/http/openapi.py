"""The OpenAPI 3.1 description of this server's HTTP interface."""

from __future__ import annotations

from typing import Any

import cmstream
from cmstream.session.registry import NAME_PATTERN

_STREAM = {"name": "stream", "in": "path", "required": True, "schema": {"type": "string", "pattern": NAME_PATTERN}}
_SESSION = {"name": "session", "in": "path", "required": True, "schema": {"type": "string"}}
_PROBLEM_BODY = {
    "description": "What went wrong and what to do (RFC 9457)",
    "headers": {"Retry-After": {"description": "Seconds to wait, of 409, 429 and 503", "schema": {"type": "integer"}}},
    "content": {
        "application/problem+json": {
            "schema": {
                "type": "object",
                "required": ["type", "title", "status", "detail"],
                "properties": {
                    "type": {"type": "string"},
                    "title": {"type": "string"},
                    "status": {"type": "integer"},
                    "detail": {"type": "string"},
                    "errors": {"type": "object", "additionalProperties": {"type": "string"}},
                },
            }
        }
    },
}
_PROBLEM = {"$ref": "#/components/responses/Problem"}
_TEXT = {"schema": {"type": "string"}}


def document(parameters: dict[str, Any]) -> dict[str, Any]:
    """The document, with the loaded model's parameter schema inside."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "cmstream", "version": cmstream.__version__, "license": {"name": "Apache-2.0"}},
        "security": [{"bearer": []}, {}],  # a token where the server has one
        "components": {
            "schemas": {"Parameters": parameters},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "responses": {"Problem": _PROBLEM_BODY},
        },
        "paths": {
            **_negotiation("whip", "publish"),
            **_negotiation("whep", "view"),
            **_fallbacks(),
            **_streams(),
            **_models(),
            **_recordings(),
            **_operations(),
        },
    }


def _negotiation(prefix: str, verb: str) -> dict[str, Any]:
    sdp = {"application/sdp": _TEXT}
    codes = ("400", "401", "403", "408", "409", "413", "415", "422", "429", "503")
    created = {
        "description": "The answer, with every candidate of the server",
        "content": sdp,
        "headers": {"Location": _header("The session"), "Link": _header("STUN and TURN servers, rel=ice-server")},
    }
    moved = {"description": "No room here: offer there", "headers": {"Location": _header("Where to offer")}}
    empty = {"description": "Nothing, of type application/sdp", "content": sdp}
    changed = dict.fromkeys(("401", "403", "404", "429"), _PROBLEM)
    return {
        f"/{prefix}/{{stream}}": {
            "parameters": [_STREAM],
            "post": {
                "summary": f"Offer to {verb}; the session's URL is in Location",
                "requestBody": {"required": True, "content": sdp},
                "responses": {"201": created, "307": moved, **dict.fromkeys(codes, _PROBLEM)},
            },
            "get": {"summary": "Tells players what this is", "responses": {"200": empty, "400": _PROBLEM, "401": _PROBLEM}},
            "options": _options("What can be posted", "Accept-Post"),
        },
        f"/{prefix}/{{stream}}/{{session}}": {
            "parameters": [_STREAM, _SESSION],
            "patch": {
                "summary": "Trickle candidates",
                "requestBody": {"required": True, "content": {"application/trickle-ice-sdpfrag": _TEXT}},
                "responses": {
                    "204": {"description": "Taken"},
                    **dict.fromkeys(("400", "408", "413", "415", "422"), _PROBLEM),
                    **changed,
                },
            },
            "options": _options("What can be patched", "Accept-Patch"),
            "get": {
                "summary": "Whether the session is there",
                "responses": {"204": {"description": "It is"}, "401": _PROBLEM, "404": _PROBLEM},
            },
            "delete": {"summary": "End the session", "responses": {"200": {"description": "Ended"}, **changed}},
        },
    }


def _fallbacks() -> dict[str, Any]:
    pictures = {"description": "One part a picture", "content": {"multipart/x-mixed-replace": {"schema": {"type": "string"}}}}

    def socket(summary: str, *codes: str) -> dict[str, Any]:
        switched = {"description": "Binary messages of cmstream.v1; close codes are 4000 + the HTTP status of the error"}
        refused = dict.fromkeys(("400", "401", "403", *codes, "426", "503"), _PROBLEM)
        return {"parameters": [_STREAM], "get": {"summary": summary, "responses": {"101": switched, **refused}}}

    return {
        "/ws/{stream}": socket("Publish over a WebSocket, and get the results on it"),
        "/ws/{stream}/view": socket("View over a WebSocket", "409"),
        "/mjpeg/{stream}": {
            "parameters": [_STREAM],
            "get": {
                "summary": "View as MJPEG",
                "responses": {"200": pictures, **dict.fromkeys(("400", "401", "409", "503"), _PROBLEM)},
            },
        },
    }


def _options(summary: str, header: str) -> dict[str, Any]:
    answer = {"description": f"Named in {header}", "headers": {header: _header(summary)}}
    return {"summary": summary, "security": [{}], "responses": {"200": answer}}


def _header(description: str) -> dict[str, Any]:
    return {"description": description, **_TEXT}


def _streams() -> dict[str, Any]:
    state = {"description": "The state", "content": {"application/json": {"schema": {"type": "object"}}}}
    patch = {"required": True, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Parameters"}}}}
    events = {"description": "Server-sent events", "content": {"text/event-stream": _TEXT}}
    return {
        "/api/v1/streams": {"get": {"summary": "All streams", "responses": {"200": state}}},
        "/api/v1/streams/{stream}": {
            "parameters": [_STREAM],
            "get": {"summary": "One stream", "responses": {"200": state, "404": _PROBLEM}},
            "patch": {
                "summary": "Change parameters",
                "requestBody": patch,
                "responses": {"200": state, **dict.fromkeys(("400", "404", "408", "413", "415", "422"), _PROBLEM)},
            },
            "delete": {"summary": "End the stream", "responses": {"204": {"description": "Ended"}, "404": _PROBLEM}},
        },
        "/api/v1/streams/{stream}/events": {
            "parameters": [_STREAM],
            "get": {
                "summary": "Live figures: events `stats`, `traces`, `model`, `draining`, `closed`",
                "responses": {"200": events, "404": _PROBLEM},
            },
        },
    }


def _models() -> dict[str, Any]:
    state = {
        "description": "The model and how its last change stands",
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
    name = {"type": "object", "required": ["model"], "properties": {"model": {"type": "string"}}, "additionalProperties": False}
    begun = {**state, "description": "It is being loaded; streams flow on", "headers": {"Location": _header("How it stands")}}
    events = {"description": "Server-sent events", "content": {"text/event-stream": _TEXT}}
    return {
        "/api/v1/models": {
            "get": {"summary": "The models that may be asked for", "responses": {"200": state, "503": _PROBLEM}}
        },
        "/api/v1/model": {
            "get": {
                "summary": "The model that serves, and how its last change stands",
                "responses": {"200": state, "503": _PROBLEM},
            },
            "put": {
                "summary": "Change the model while streams flow",
                "requestBody": {"required": True, "content": {"application/json": {"schema": name}}},
                "responses": {
                    "202": begun,
                    **dict.fromkeys(("400", "401", "404", "408", "409", "413", "415", "422", "503"), _PROBLEM),
                },
            },
        },
        "/api/v1/model/swap": {
            "delete": {
                "summary": "Call off the change of the model that is under way",
                "responses": {"200": state, **dict.fromkeys(("401", "404"), _PROBLEM)},
            }
        },
        "/api/v1/model/events": {
            "get": {"summary": "How a change stands: events `swap`", "responses": {"200": events, "503": _PROBLEM}}
        },
    }


def _recordings() -> dict[str, Any]:
    recording = {"name": "recording", "in": "path", "required": True, "schema": {"type": "string"}}
    choice = {"what": {"enum": ["styled", "source"]}, "container": {"enum": ["mp4", "mkv"]}}
    asked = {"schema": {"type": "object", "properties": choice, "additionalProperties": False}}
    state = {"description": "Its state", "content": {"application/json": {"schema": {"type": "object"}}}}
    listed = {"summary": "Whether this server records, and what: running and ended of late", "responses": {"200": state}}
    movie = {"description": "The file as it is now", "content": {"video/mp4": {}, "video/matroska": {}}}
    on_stream = "/api/v1/streams/{stream}/recordings"
    return {
        "/api/v1/recordings": {"get": listed},
        on_stream: {
            "parameters": [_STREAM],
            "get": {**listed, "responses": {"200": state, "400": _PROBLEM}},
            "post": {
                "summary": "Begin to record, into a file of the server",
                "requestBody": {"content": {"application/json": asked}},
                "responses": {"201": state, **dict.fromkeys(("400", "404", "409", "415", "422", "503"), _PROBLEM)},
            },
        },
        f"{on_stream}/{{recording}}": {
            "parameters": [_STREAM, recording],
            "get": {"summary": "One recording", "responses": {"200": state, "404": _PROBLEM}},
            "delete": {"summary": "End the recording; its file stays", "responses": {"200": state, "404": _PROBLEM}},
        },
        f"{on_stream}/{{recording}}/file": {
            "parameters": [_STREAM, recording],
            "get": {"summary": "Fetch the file", "responses": {"200": movie, "404": _PROBLEM}},
        },
    }


def _operations() -> dict[str, Any]:
    def get(summary: str, *codes: str) -> dict[str, Any]:
        return {"get": {"summary": summary, "responses": {code: {"description": summary} for code in ("200", *codes)}}}

    return {
        "/api/v1/schema": get("JSON Schema of the parameters"),
        "/api/v1/openapi.json": get("This document"),
        "/healthz": get("Live"),
        "/readyz": get("Ready", "503"),
        "/metrics": get("Prometheus metrics"),
    }
