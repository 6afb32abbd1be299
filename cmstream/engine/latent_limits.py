"""What a chip could do with a latent model at best: operations counted, and a rate of matrix products measured. Bench only."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from cmstream.core.clock import NS_PER_S, Clock
from cmstream.engine.pipeline.device import Device
from cmstream.models.latent.true_shapes import TOKENS, TrueShape, tiny_autoencoder_of, unet_of

MOST_AT_ONCE = 64


def counted_flops(shape: TrueShape, side_px: int) -> dict[str, int]:
    """Floating-point operations of one frame by part (a multiply-add is two), counted on no device and in no memory."""
    with torch.device("meta"), torch.inference_mode():
        vae, unet = tiny_autoencoder_of(shape).eval(), unet_of(shape).eval()
        picture = torch.empty(1, 3, side_px, side_px)
        latent = vae.encode(picture).latents
        heard = torch.empty(1, TOKENS, shape.unet["cross_attention_dim"])
        more = _more(shape) if shape.is_xl else None
        return {
            "encode": _flops(lambda: vae.encode(picture)),
            "unet": _flops(lambda: unet(latent, torch.empty(1), heard, added_cond_kwargs=more)),
            "decode": _flops(lambda: vae.decode(latent)),
        }


def _more(shape: TrueShape) -> dict[str, Tensor]:
    return {"text_embeds": torch.empty(1, shape.texts[1]["projection_dim"]), "time_ids": torch.empty(1, 6)}


def _flops(run: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops())


def matrix_rate(device: Device, dtype: torch.dtype, side: int, seconds: float, clock: Clock) -> float:
    """TFLOP/s of products of square matrices of `side`, the best of `seconds`: the limit that this chip is seen to have."""
    stream, done = device.stream("matrix", urgent=True), device.event()
    a, b, c = (device.device_buffer(name, (side, side), dtype) for name in "abc")
    stream.run(_filled, (), (a, b))
    times, best = 1, 0.0
    end_ns = clock.now_ns() + seconds * NS_PER_S
    while clock.now_ns() < end_ns or not best:
        begun_ns = clock.now_ns()
        for _ in range(times):
            stream.run(_multiplied, (a, b), (c,))
        stream.record(done)
        done.synchronize()
        took_s = (clock.now_ns() - begun_ns) / NS_PER_S
        best = max(best, times * 2 * side**3 / took_s / 1e12)
        times = min(MOST_AT_ONCE, 2 * times)
    return best


def _filled(a: Tensor, b: Tensor) -> None:
    a.normal_()
    b.normal_()


def _multiplied(a: Tensor, b: Tensor, c: Tensor) -> None:
    torch.mm(a, b, out=c)
