"""The consistency parametrisation in TrigFlow form (Lu & Song 2024, "Simplifying, Stabilizing and Scaling
Continuous-Time Consistency Models", section 4). Pure functions; serving and training share them.

    x_t = cos(t) y + sin(t) sigma_data z,  t in [0, pi/2],  z ~ N(0, I)                              (eq. 7)
    D(x, t) = cos(t) x - sigma_data sin(t) F(x / sigma_data, t)                                       (eq. 9)

D(x, 0) = x exactly, which is the boundary condition of consistency models (Song et al. 2023, eq. 5). The served point is
t = pi/2, where x is nothing but noise. sigma = sigma_data tan(t) is the noise level in EDM's terms (Karras et al. 2022).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

T_SERVED = math.pi / 2
"""The time at which one evaluation makes a picture of pure noise."""

Network = Callable[[Tensor, Tensor], Tensor]
"""F: (x / sigma_data [B,3,H,W], t [B]) -> [B,3,H,W], its conditions (source, style) already bound."""


@dataclass(frozen=True, slots=True)
class TrigFlow:
    """The map between pictures, noise and time for data of standard deviation `sigma_data`."""

    sigma_data: float

    def noised(self, data: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """x_t of eq. 7. `data`, `noise` [B,3,H,W], `t` [B]; `noise` has unit variance."""
        t = t[:, None, None, None]
        return t.cos() * data + t.sin() * self.sigma_data * noise

    def denoised(self, network: Network, x: Tensor, t: Tensor) -> Tensor:
        """D(x, t) of eq. 9: the network's estimate of the data on the trajectory through `x`."""
        output = network(x / self.sigma_data, t)
        t = t[:, None, None, None]
        return t.cos() * x - self.sigma_data * t.sin() * output

    def served(self, network: Network, noise: Tensor) -> Tensor:
        """D(sigma_data z, pi/2), without the terms that vanish there: one step from noise to picture."""
        t = torch.full((noise.shape[0],), T_SERVED, device=noise.device)
        return -self.sigma_data * network(noise, t)

    def time_of(self, sigma: Tensor) -> Tensor:
        """t at which the noise level is `sigma` (infinity gives pi/2)."""
        return torch.atan(sigma / self.sigma_data)

    def sigma_of(self, t: Tensor) -> Tensor:
        """The noise level at `t`."""
        return self.sigma_data * t.tan()
