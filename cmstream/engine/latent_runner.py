"""A latent model on the CPU: bytes in, bytes out, one frame at a time. Engine thread only."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from cmstream.core.frame import Rgb
from cmstream.core.look import Look
from cmstream.engine.moving_noise import Places, carried
from cmstream.engine.runner import precision_of
from cmstream.models.latent.feedback import Memory
from cmstream.models.latent.model import LatentModel


class LatentRunner:
    """See `Runner`. Strength is what the model makes of it, a level of noise: nothing is blended here.

    What streams with feedback painted last is kept, until one has a frame without.
    """

    runtime = "torch"

    def __init__(self, model: LatentModel, dtype: torch.dtype) -> None:
        self.precision = precision_of(dtype)
        self.name = f"PyTorch {self.precision}"
        self._model = model.to(torch.device("cpu"), dtype)
        self._memories: dict[int, Memory] = {}

    def __repr__(self) -> str:
        return f"<LatentRunner {self.name} of {self._model!r}>"

    def style(self, src: Rgb, noise: Tensor, look: Look, *, places: Places | None = None, stream_id: int = 0) -> Rgb:
        """See `Runner`. Raises EngineFailed for a look that was never prepared."""
        with torch.inference_mode():
            # Made a copy by numpy: a frame may be memory that nobody may write to, which torch does not know.
            pixels = torch.from_numpy(src.astype(np.float32)).permute(2, 0, 1)[None] / 127.5 - 1  # [1,3,H,W] in [-1,1]
            before = self._memories.pop(stream_id, None)
            field = carried(noise, places)[None]
            (painted,), (memory,) = self._model.paint_after(pixels, field, [look], [before])
            if memory is not None:
                self._memories[stream_id] = memory
            styled: Rgb = painted.clamp_(-1, 1).add_(1).mul_(127.5).round_().to(torch.uint8).permute(1, 2, 0).numpy()
        return np.ascontiguousarray(styled)

    def forget(self, stream_id: int) -> None:
        """See `Runner`."""
        self._memories.pop(stream_id, None)
        self._model.forget(stream_id)
