"""Pictures to latents and back, for the three autoencoders that checkpoints come with. Engine thread only."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor

from cmstream.core.errors import WeightsRejected


class Autoencoder(Protocol):
    """Latents are scaled as the network expects them, about unit variance."""

    module: Any
    channels: int
    factor_px: int
    """A latent pixel is so many pixels wide and high."""

    def encode(self, src: Tensor) -> Tensor:
        """`src` [B,3,H,W] in [-1,1], sides multiples of `factor_px` -> [B,C,H/f,W/f]. Deterministic."""
        ...

    def decode(self, latent: Tensor) -> Tensor:
        """-> [B,3,H,W] in about [-1,1]."""
        ...


class _Scaled:
    def __init__(self, module: Any, channels: int, factor_px: int) -> None:
        self.module = module
        self.channels = channels
        self.factor_px = factor_px
        self._scale = float(module.config.scaling_factor)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.channels} channels, 1/{self.factor_px}>"

    def decode(self, latent: Tensor) -> Tensor:
        """See `Autoencoder`."""
        decoded: Tensor = self.module.decode(latent / self._scale, return_dict=False)[0]
        return decoded


class TinyAutoencoder(_Scaled):
    """TAESD (AutoencoderTiny): 1.2 M weights each way, what real time asks for."""

    def __init__(self, module: Any) -> None:
        factor_px = 2 ** (len(module.config.encoder_block_out_channels) - 1)
        super().__init__(module, module.config.latent_channels, factor_px)

    def encode(self, src: Tensor) -> Tensor:
        """See `Autoencoder`."""
        latent: Tensor = self.module.encode(src).latents
        return latent * self._scale


class FullAutoencoder(_Scaled):
    """The checkpoint's own AutoencoderKL, which costs more than the rest of a frame. Its mean is taken, not a sample."""

    def __init__(self, module: Any) -> None:
        super().__init__(module, module.config.latent_channels, 2 ** (len(module.config.block_out_channels) - 1))

    def encode(self, src: Tensor) -> Tensor:
        """See `Autoencoder`."""
        latent: Tensor = self.module.encode(src).latent_dist.mode()
        return latent * self._scale


class DeepAutoencoder(_Scaled):
    """SANA's AutoencoderDC, a thirty-second of the side."""

    def __init__(self, module: Any) -> None:
        factor_px = 2 ** (len(module.config.encoder_block_out_channels) - 1)
        super().__init__(module, module.config.latent_channels, factor_px)

    def encode(self, src: Tensor) -> Tensor:
        """See `Autoencoder`."""
        latent: Tensor = self.module.encode(src).latent
        return latent * self._scale


_KINDS: dict[str, type[TinyAutoencoder | FullAutoencoder | DeepAutoencoder]] = {
    "AutoencoderTiny": TinyAutoencoder,
    "AutoencoderKL": FullAutoencoder,
    "AutoencoderDC": DeepAutoencoder,
}


def autoencoder_of(module: Any) -> Autoencoder:
    """The autoencoder that runs `module`. Raises WeightsRejected for a kind that is not known."""
    kind = _KINDS.get(type(module).__name__)
    if kind is None:
        raise WeightsRejected(f"its autoencoder is a {type(module).__name__}; {', '.join(_KINDS)} can be run")
    return kind(module)
