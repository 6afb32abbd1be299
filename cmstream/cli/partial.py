"""A destination that appears whole or not at all: work goes to a neighbour of the same file system, then is renamed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cmstream.core.errors import InvalidInput


@contextmanager
def partial_file(destination: Path) -> Iterator[Path]:
    """A path with the same suffix to write to. It replaces `destination` when the block ends well, else it is removed."""
    with _neighbour(destination) as folder:
        path = folder / destination.name
        yield path
        os.replace(path, destination)


@contextmanager
def partial_folder(destination: Path) -> Iterator[Path]:
    """A folder to write to, likewise. Raises InvalidInput when `destination` is a file or holds anything already."""
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise InvalidInput(f"{destination} exists already; name a new folder")
    with _neighbour(destination) as folder:
        path = folder / destination.name
        path.mkdir()
        yield path
        os.replace(path, destination)


@contextmanager
def _neighbour(destination: Path) -> Iterator[Path]:
    parent = destination.absolute().parent
    if not parent.is_dir():
        raise InvalidInput(f"the folder {parent} does not exist; make it first")
    folder = Path(tempfile.mkdtemp(prefix=f".{destination.name[:64]}.", suffix=".partial", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
