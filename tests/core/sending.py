"""Pictures as parameters: data URLs."""

from __future__ import annotations

import base64

import numpy as np

from cmstream.core.picture import encode_png


def picture_url(seed: int, side_px: int = 32) -> str:
    """Of a picture of its own for every seed."""
    blocks = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    return data_url(encode_png(np.kron(blocks, np.ones((side_px // 4, side_px // 4, 1), np.uint8))))


def data_url(file: bytes, kind: str = "png") -> str:
    """`file` as browsers name it."""
    return f"data:image/{kind};base64,{base64.b64encode(file).decode()}"
