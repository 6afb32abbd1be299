"""Choices that outlive the server: one small JSON file for each machine, model and shape they were measured for.

A file is believed only if all that it was measured under is as it is now, and then it can at worst name a slower form of
the same model. Servers that start at once write the same file, each as a whole. Engine thread only.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from cmstream.core.atomic import write_atomically
from cmstream.engine.candidates import DTYPES
from cmstream.engine.choice import Choice
from cmstream.engine.side_by_side import COUNTS

log = logging.getLogger(__name__)

FORMAT = 2
LARGEST_BYTES = 64 * 1024
MOST_FILES = 64
"""Kept; beyond, those that were written first leave."""
RUNTIMES = ("torch", "openvino")

Circumstances = Mapping[str, str]


class ChoiceFolder:
    """Remembers in `folder`, which need not exist. Nothing here raises: what cannot be read or written is measured anew."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __repr__(self) -> str:
        return f"<ChoiceFolder {self.folder}>"

    def path(self, circumstances: Circumstances) -> Path:
        """The file for what was measured under these."""
        digest = hashlib.sha256(json.dumps(dict(circumstances), sort_keys=True).encode())
        return self.folder / f"choice-{digest.hexdigest()[:24]}.json"

    def recall(self, circumstances: Circumstances) -> Choice | None:
        """What was remembered under the same circumstances."""
        path = self.path(circumstances)
        try:
            return _choice_in(json.loads(_read(path)), circumstances)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            log.warning("ignored %s, and measuring anew: %s", path, error)
            return None

    def remember(self, circumstances: Circumstances, choice: Choice) -> None:
        """For the next start."""
        content = {
            "format": FORMAT,
            "runtime": choice.runtime,
            "precision": choice.precision,
            "threads": choice.threads,
            "together": choice.together,
            "measured_under": dict(circumstances),
        }
        try:
            write_atomically(self.path(circumstances), (json.dumps(content, indent=1) + "\n").encode())
            self._tidy()
        except OSError as error:
            log.warning("cannot remember what is fastest here, the next start measures again: %s", error)

    def files(self) -> list[Path]:
        """Those there are, the newest first."""
        return sorted(self.folder.glob("choice-*.json"), key=_written_ns, reverse=True)

    def _tidy(self) -> None:
        for old in self.files()[MOST_FILES:]:
            old.unlink(missing_ok=True)


def _written_ns(path: Path) -> int:
    try:
        return path.lstat().st_mtime_ns
    except OSError:  # another server tidied it away
        return 0


def _read(path: Path) -> bytes:
    """Raises OSError, and ValueError for what is no small file of ours. A pipe is not waited for, a link not followed."""
    with open(os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("it is not a file")
        if hasattr(os, "getuid") and found.st_uid != os.getuid():
            raise ValueError("it is somebody else's")
        if found.st_size > LARGEST_BYTES:
            raise ValueError(f"it has {found.st_size} bytes")
        return file.read(LARGEST_BYTES)


def _choice_in(content: object, circumstances: Circumstances) -> Choice:
    """Raises ValueError."""
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"it is not of format {FORMAT}")
    if content.get("measured_under") != dict(circumstances):
        raise ValueError("it was measured under other circumstances")
    runtime, precision, threads = content.get("runtime"), content.get("precision"), content.get("threads")
    if runtime not in RUNTIMES or precision not in DTYPES:
        raise ValueError(f"there is no form {runtime!r} in {precision!r}")
    if type(threads) is not int or not 1 <= threads <= int(circumstances["cores"]):
        raise ValueError(f"{threads!r} is no number of threads here")
    together = content.get("together")
    if type(together) is not int or together not in (1, *COUNTS) or together > int(circumstances["cores"]):
        raise ValueError(f"{together!r} is no number of frames at once")
    return Choice(str(runtime), str(precision), threads, together)
