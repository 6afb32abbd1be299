"""Writes the commented reference settings: `python -m cmstream.cli.reference > docker/cmstream.toml`.

Made from the page of settings itself, so that the manual cannot say something else than the code.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from cmstream.settings import Settings
from cmstream.settings_loader import section_of

HEADER = """\
# Every setting of cmstream with its default. Made from the code by `make reference`; a test keeps the two equal.
# TOML file < environment CMSTREAM_SECTION__NAME < command line. An unknown name is an error.
"""


def reference_toml(model: type[BaseModel] = Settings) -> str:
    """The whole file. Settings without a default stand commented out."""
    return HEADER + "\n" + "\n".join(_lines(model))


def _lines(model: type[BaseModel]) -> Iterator[str]:
    sections = {name: section_of(field.annotation) for name, field in model.model_fields.items()}
    for name, field in model.model_fields.items():
        if sections[name] is None:
            yield from _setting(name, field)
    for name, section in sections.items():
        if section is not None:
            yield f"# {section.__doc__}\n[{name}]"
            yield from _lines(section)


def _setting(name: str, field: FieldInfo) -> Iterator[str]:
    yield f"# {field.description}"
    yield f'# {name} = ""\n' if field.default is None else f"{name} = {_toml(field.default)}\n"


def _toml(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    assert not isinstance(value, SecretStr), "a secret has no default"
    return json.dumps(value, ensure_ascii=False)  # TOML writes these strings, numbers and booleans as JSON does


if __name__ == "__main__":
    print(reference_toml(), end="")
