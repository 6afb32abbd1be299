"""Where recordings go: one folder of the settings, names made here, and how much may be written. Blocking; not for the loop.

No part of a path ever comes from a client: a stream's name holds no separator and begins with a letter or digit.
"""

from __future__ import annotations

import errno
import io
import os
import secrets
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cmstream.core.errors import ConfigurationError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

CHECK_EVERY_BYTES = 256 * 1024
MB = 1_000_000


class NoRoom(Exception):
    """No more may be written; the text says why, for a person."""


class LimitedFile(io.RawIOBase):
    """A new file that takes up to `most_bytes`, and nothing that leaves less than `keep_free_bytes` on its disk.

    `write` raises NoRoom. What is written is with the kernel at once: it outlives the process.
    """

    def __init__(self, path: Path, most_bytes: int, keep_free_bytes: int) -> None:
        super().__init__()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = io.FileIO(os.open(path, flags, 0o640), "w")
        self._path = path
        self._most_bytes = most_bytes
        self._keep_free_bytes = keep_free_bytes
        self._checked_at = 0
        self.written = 0

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False  # a file that is only appended to is whole wherever it ends

    def write(self, data: ReadableBuffer) -> int:
        view = memoryview(data)
        size = view.nbytes
        if self.written + size > self._most_bytes:
            raise NoRoom(f"it reached its limit of {self._most_bytes // MB} MB (recording.max_mb)")
        self._check_free()
        try:
            while view.nbytes:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise NoRoom(_why(error)) from error
        self.written += size
        return size

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()

    def discard(self) -> None:
        """Close and remove the file: nothing is in it that anybody wants."""
        self.close()
        self._path.unlink(missing_ok=True)

    def _check_free(self) -> None:
        if self.written and self.written - self._checked_at < CHECK_EVERY_BYTES:
            return
        self._checked_at = self.written
        if shutil.disk_usage(self._path.parent).free < self._keep_free_bytes:
            kept_mb = self._keep_free_bytes // MB
            raise NoRoom(f"the disk has less than {kept_mb} MB left, which are kept free (recording.keep_free_mb)")


def _why(error: OSError) -> str:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return "the disk of recording.folder is full; free some space and record again"
        case errno.EFBIG:
            return "the file may not grow any further: a limit of the system, or of the file system of recording.folder"
        case _:
            return f"it could not be written: {error.strerror or error}"


def prepare_folder(folder: Path) -> None:
    """Make the folder, if need be. Raises ConfigurationError unless files can be made in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".cmstream-{secrets.token_hex(8)}"
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise ConfigurationError(f"recording.folder {str(folder)!r} cannot be written: {error.strerror}") from error


def file_name(stream: str, recording_id: str, what: str, container: str) -> str:
    """A name that tells where it is from and when it began (UTC), and that nothing else has."""
    began = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    return f"{stream}-{began}-{what}-{recording_id}.{container}"
