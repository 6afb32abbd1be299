"""Where what can be worked out again is kept between runs."""

from __future__ import annotations

import os
from pathlib import Path

OFF = "off"
AUTO = "auto"


def cache_folder(setting: str = AUTO) -> Path | None:
    """`setting` is a folder, "auto" for `cmstream` under the XDG cache folder, or "off" for None.

    None too where "auto" finds no home folder, as in some containers.
    """
    if setting == OFF:
        return None
    if setting != AUTO:
        return Path(setting).expanduser()
    base = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(base):  # the specification says to ignore others
        return Path(base) / "cmstream"
    try:
        return Path.home() / ".cache" / "cmstream"
    except RuntimeError:
        return None
