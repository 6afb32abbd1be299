"""Many steps from noise to picture: the deterministic sampler of a diffusion model, which teaches and is measured against.

The probability-flow ODE in TrigFlow time is dx/dt = sigma_data F(x / sigma_data, t) (Lu & Song 2024, eq. 8). Holding D and
the noise it implies over a step turns (x, F) by the angle between the times, which is DDIM (Song, Meng & Ermon 2020):

    x_r = cos(r) D + sin(r) sigma_data z_hat = cos(t - r) x - sigma_data sin(t - r) F(x / sigma_data, t)

so nothing is divided by sin(t), and a step to 0 is D itself. Pure functions.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cmstream.models.consistency import T_SERVED, Network, TrigFlow

TEACHER_STEPS = 50


def ode_step(flow: TrigFlow, network: Network, x: Tensor, t: Tensor, r: Tensor) -> Tensor:
    """x_r by DDIM: one evaluation, first order, exact for r = t and for data that are a single picture."""
    angle = (t - r)[:, None, None, None]
    return angle.cos() * x - flow.sigma_data * angle.sin() * network(x / flow.sigma_data, t)


def times(steps: int) -> Tensor:
    """pi/2 down to 0 in `steps` equal angles, [steps + 1].

    Equal angles are dense where strokes are decided: sigma from 0 to 2 sigma_data has seven tenths of them.
    """
    return torch.linspace(T_SERVED, 0, steps + 1, dtype=torch.float64)


def sample(flow: TrigFlow, network: Network, noise: Tensor, steps: int = TEACHER_STEPS) -> Tensor:
    """The data that the ODE leads to from sigma_data `noise` [B,3,H,W] ~ N(0,1). One step is `flow.served`."""
    x = flow.sigma_data * noise
    grid = times(steps).to(noise.device, noise.dtype)
    for t, r in zip(grid[:-1], grid[1:], strict=True):
        x = ode_step(flow, network, x, t.expand(len(x)), r.expand(len(x)))
    return x
