"""The name of a model on the Hugging Face hub: `hf:owner/name[@revision]`. Pure; a name never becomes a path by itself."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cmstream.core.errors import NotFound

PREFIX = "hf:"
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?"
_NAME = re.compile(rf"({_PART})/({_PART})(?:@([A-Za-z0-9][A-Za-z0-9._-]{{0,99}}))?")
_FORBIDDEN = ("..", "--")
"""Neither is in any name on the hub; the first climbs folders, and the second joins owner and name in the cache."""


@dataclass(frozen=True, slots=True)
class HubReference:
    """A repository, and its revision: a branch, a tag or a commit; None is the newest of `main`."""

    repository: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{PREFIX}{self.repository}" + (f"@{self.revision}" if self.revision else "")


def parse_place(text: str) -> tuple[HubReference, str]:
    """Read `hf:owner/name[@revision]/path`: a repository, and the file or folder in it, or "". Raises NotFound."""
    owner, _, rest = text.partition("/")
    name, _, inside = rest.partition("/")
    if inside and not all(re.fullmatch(_PART, each) for each in inside.split("/")):
        raise NotFound(f"{inside[:80]!r} is no place in a repository; write hf:owner/name/folder/file.safetensors")
    return parse_reference(f"{owner}/{name}"), inside


def parse_reference(text: str) -> HubReference:
    """Read `hf:owner/name[@revision]`. Raises NotFound for what cannot be the name of a model."""
    found = _NAME.fullmatch(text.removeprefix(PREFIX))
    if not text.startswith(PREFIX) or found is None or any(each in text for each in _FORBIDDEN):
        raise NotFound(f"{text[:80]!r} is no name of a model on the hub; write hf:owner/name or hf:owner/name@revision")
    return HubReference(f"{found[1]}/{found[2]}", found[3])
