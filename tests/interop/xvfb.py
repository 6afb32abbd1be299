"""An X server without a screen, and what would be seen on it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cmstream.core.frame import Rgb

HEADER_WORDS = 25  # of an XWD file, version 7 (X11/XWDFile.h): big-endian, of which these are of interest
HEADER_SIZE, WIDTH, HEIGHT, BITS_PER_PIXEL, BYTES_PER_LINE, COLOURS = 0, 4, 5, 11, 12, 19
COLOUR_BYTES = 12


@dataclass(frozen=True, slots=True)
class Screen:
    """A display such as ":99", and the file that holds its pixels."""

    display: str
    file: Path

    def picture(self) -> Rgb:
        """[H,W,3] uint8 RGB: everything on the screen now."""
        data = self.file.read_bytes()
        header = np.frombuffer(data, ">u4", HEADER_WORDS)
        assert header[BITS_PER_PIXEL] == 32
        start = int(header[HEADER_SIZE] + header[COLOURS] * COLOUR_BYTES)
        height, stride = int(header[HEIGHT]), int(header[BYTES_PER_LINE])
        rows = np.frombuffer(data, np.uint8, height * stride, start).reshape(height, stride // 4, 4)
        return rows[:, : int(header[WIDTH]), 2::-1].copy()  # blue, green, red, nothing


@asynccontextmanager
async def xvfb(folder: Path, width_px: int = 1080, height_px: int = 730) -> AsyncIterator[Screen]:
    """A screen on a free display; gone afterwards."""
    read, write = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *("Xvfb", "-displayfd", str(write), "-screen", "0", f"{width_px}x{height_px}x24"),
        *("-fbdir", str(folder), "-nolisten", "tcp"),
        pass_fds=(write,),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    os.close(write)
    try:
        number = await asyncio.wait_for(asyncio.to_thread(os.read, read, 16), 20)
        assert number.strip(), "Xvfb did not start"
        yield Screen(f":{number.decode().strip()}", folder / "Xvfb_screen0")
    finally:
        os.close(read)
        if process.returncode is None:
            process.terminate()
        await process.wait()
