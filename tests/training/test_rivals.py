"""The rivals: regression has no noise, the uncoupled objective has noise that is not the painter's."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor

from cmstream.models.consistency import T_SERVED
from cmstream.models.painter import PainterNet
from cmstream.training.losses import Sharpness
from cmstream.training.objective import STAGES
from cmstream.training.pairs import Batch
from cmstream.training.rivals import SIGMA_MAX, Regression, Uncoupled
from tests.training.spy import CONFIG, FLOW, Spy


def test_the_regression_sees_no_noise(batch: Batch) -> None:
    net = Spy()
    Regression(FLOW, autocast=False).loss(net, batch, 0.0, Generator())
    ((noisy, t, _),) = net.asked
    assert float(noisy.abs().max()) == 0
    assert (t == T_SERVED).all()


def test_the_uncoupled_noise_is_not_the_painter_s_and_pairs_share_theirs(batch: Batch) -> None:
    net = Spy()
    Uncoupled(FLOW, autocast=False).loss(net, batch, 0.5, Generator().manual_seed(1))
    reference, online = sorted(net.asked, key=lambda asked: asked[2])
    assert abs(float((online[0][:4] * batch.noise[:4]).mean())) < 0.02
    torch.testing.assert_close(online[1][:4], FLOW.time_of(torch.full((4,), SIGMA_MAX)))
    assert (reference[1] < online[1]).all()
    assert (reference[1][12:] == 0).all()

    def noise_of(noisy: Tensor, t: Tensor) -> Tensor:
        angle = t[:, None, None, None]
        return (noisy - angle.cos() * batch.painting / FLOW.sigma_data) / angle.sin()

    torch.testing.assert_close(noise_of(*online[:2])[:12], noise_of(*reference[:2])[:12], atol=0.05, rtol=0.01)


def test_a_first_stage_is_denoising_near_the_data_and_a_net_that_denoises_has_no_loss_there(
    batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = PainterNet(CONFIG)
    objective = Uncoupled(FLOW, Sharpness(0, 0, 0), autocast=False)

    def perfect(noisy: Tensor, src: Tensor, t: Tensor, style: Tensor, scale: Tensor) -> Tensor:
        # Solves eq. 9 for F so that D is the painting, whatever the noise.
        angle = t[:, None, None, None]
        return (angle.cos() * noisy * FLOW.sigma_data - batch.painting) / (FLOW.sigma_data * angle.sin().clamp(min=1e-6))

    bad = float(objective.loss(net, batch, 0.0, Generator().manual_seed(1)).total.detach())
    monkeypatch.setattr(net, "forward", perfect)
    good = [float(objective.loss(net, batch, stage / STAGES, Generator().manual_seed(1)).total) for stage in range(STAGES)]
    assert max(good) < 1e-3
    assert bad > 0.1
