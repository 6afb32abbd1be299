"""What a command asks of a model: its own options, `--param NAME=VALUE`, and the file of a picture, as a patch of parameters.

The values are checked where every stream's are, `core.params.apply_patch`; here they are only read. Pure, but for that file.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from cmstream.core.errors import InvalidInput
from cmstream.core.params import JsonValue, ParameterSpec
from cmstream.core.prompting import FULL, GUIDANCE_MODE, NEGATIVE_PROMPT

REFERENCE_PX = 512
"""The longer side of a reference: models look at few hundred pixels of it."""
REFERENCE_QUALITY = 90
_WORDS = frozenset({"style", "string", "choice", "picture"})


def written_params(options: Iterable[str]) -> dict[str, str]:
    """`NAME=VALUE` each. Raises InvalidInput for anything else, and for a name that stands there twice."""
    found: dict[str, str] = {}
    for option in options:
        name, is_given, value = option.partition("=")
        name = name.strip()
        if not is_given or not name:
            raise InvalidInput(f"--param must be NAME=VALUE, e.g. feedback=0.7, not {option[:80]!r}")
        if name in found:
            raise InvalidInput(f"--param {name} stands there twice; keep one")
        found[name] = value
    return found


def asked(specs: Iterable[ParameterSpec], named: Mapping[str, JsonValue], written: Mapping[str, str]) -> dict[str, JsonValue]:
    """The patch that `named`, options of their own (None: not given), and `written` come to.

    Raises InvalidInput for a name in both.
    A written value is text where the parameter takes text, or a mix as a JSON object; for all others it is JSON.
    """
    patch = {name: value for name, value in named.items() if value is not None}
    for name in written:
        if name in patch:
            raise InvalidInput(f"--{name.replace('_', '-')} and --param {name} say the same thing; keep one")
    kinds = {spec.name: spec.kind for spec in specs}
    patch |= {name: _read(kinds.get(name, "string"), text) for name, text in written.items()}
    if patch.get(NEGATIVE_PROMPT) and GUIDANCE_MODE in kinds:
        patch.setdefault(GUIDANCE_MODE, FULL)  # nothing else leads away from it
    return patch


def reference_url(path: Path) -> str:
    """The picture in a file as the data URL of a JPEG of at most REFERENCE_PX a side. Raises InvalidFrame or InvalidInput."""
    from cmstream.cli.picture import picture_size, read_picture
    from cmstream.core.frame import MIN_SIDE_PX
    from cmstream.core.picture import encode_jpeg

    sides = picture_size(path)
    ratio = min(1.0, REFERENCE_PX / max(sides))
    width_px, height_px = (max(MIN_SIDE_PX, round(side * ratio)) for side in sides)
    data = encode_jpeg(read_picture(path, width_px, height_px), REFERENCE_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"


def _read(kind: str, text: str) -> JsonValue:
    """What is no JSON is left to the check, which says what the value must be."""
    if kind in _WORDS and not text.lstrip().startswith("{"):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
