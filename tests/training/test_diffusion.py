"""The teacher's objective: denoising with noise of its own, exact for a net that knows the answer."""

from __future__ import annotations

import pytest
from torch import Generator, Tensor

from cmstream.models.consistency import T_SERVED
from cmstream.models.painter import PainterNet
from cmstream.training.diffusion import Diffusion
from cmstream.training.pairs import Batch
from tests.training.spy import CONFIG, FLOW, Spy


def test_every_noise_level_is_trained_with_noise_that_is_not_the_painter_s(batch: Batch) -> None:
    net = Spy()
    Diffusion(FLOW, autocast=False).loss(net, batch, 0.5, Generator().manual_seed(1))
    ((noisy, t, has_gradient),) = net.asked
    assert has_gradient
    assert (t[:2] == T_SERVED).all()
    assert ((t[2:] > 0) & (t[2:] < T_SERVED)).all()
    assert abs(float((noisy[:2] * batch.noise[:2]).mean())) < 0.03
    assert float(noisy[:2].std()) == pytest.approx(1, abs=0.05)


def test_a_net_that_knows_the_painting_has_no_loss(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    net = PainterNet(CONFIG)
    objective = Diffusion(FLOW, autocast=False)
    bad = float(objective.loss(net, batch, 0.0, Generator().manual_seed(1)).total.detach())

    def perfect(noisy: Tensor, src: Tensor, t: Tensor, style: Tensor, scale: Tensor) -> Tensor:
        angle = t[:, None, None, None]
        return (angle.cos() * noisy * FLOW.sigma_data - batch.painting) / (FLOW.sigma_data * angle.sin().clamp(min=1e-6))

    monkeypatch.setattr(net, "forward", perfect)
    good = objective.loss(net, batch, 0.0, Generator().manual_seed(1))
    assert float(good.total) < 1e-3
    assert float(good.served_mse) < 1e-8
    assert bad > 0.5
