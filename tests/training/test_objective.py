"""The objective: ECT's curriculum, the batch mix, and losses that see what they should."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor

from cmstream.models.consistency import T_SERVED
from cmstream.models.painter import PainterNet
from cmstream.training.losses import Sharpness
from cmstream.training.objective import STAGES, Consistency, reference_sigma, served_count, stage_at
from cmstream.training.pairs import Batch
from tests.training.spy import CONFIG, FLOW, Spy


def test_stages_share_the_training_equally() -> None:
    assert [stage_at(step / 80) for step in range(0, 80, 10)] == list(range(STAGES))
    assert stage_at(1.0) == STAGES - 1


def test_the_pairs_close_as_stages_pass_and_start_as_denoising() -> None:
    sigma = torch.tensor([0.01, 0.3, 1.0, 5.0, 80.0])
    gaps = torch.stack([(sigma - reference_sigma(sigma, stage)) / sigma for stage in range(STAGES)])
    assert (gaps > 0).all()
    assert (gaps <= 1).all()
    assert (gaps[1:] <= gaps[:-1]).all()
    assert (reference_sigma(sigma, 0)[:3] == 0).all()
    # Far from the data the bracket is 1, so the gap is 2^-(s+1) there (q = 2).
    torch.testing.assert_close(gaps[:, -1], 2.0 ** -torch.arange(1.0, STAGES + 1))


def test_five_eighths_of_the_batch_are_at_the_served_point_with_the_painting_s_own_noise(batch: Batch) -> None:
    net = Spy()
    Consistency(FLOW, autocast=False).loss(net, batch, 0.5, Generator().manual_seed(1))
    reference, online = sorted(net.asked, key=lambda asked: asked[2])
    noisy, t, _ = online
    assert served_count(16) == 10
    assert (t[:10] == T_SERVED).all()
    torch.testing.assert_close(noisy[:10], batch.noise[:10], atol=1e-5, rtol=0)
    assert ((t[10:] > 0) & (t[10:] < T_SERVED)).all()
    # The four pairs: same noise, an earlier time, no gradient.
    assert reference[1].shape == (4,)
    assert (reference[1] < t[10:14]).all()
    assert not reference[2]


def test_a_perfect_net_has_no_loss_and_a_bad_one_has(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    net = PainterNet(CONFIG)
    objective = Consistency(FLOW, Sharpness(surplus_of={}, surplus=1.0), autocast=False)
    bad = objective.loss(net, batch, 0.9, Generator().manual_seed(1))

    def perfect(noisy: Tensor, src: Tensor, t: Tensor, style: Tensor, scale: Tensor) -> Tensor:
        rows = slice(10, 14) if len(noisy) == 4 else slice(None)
        at = t[:, None, None, None]
        return at.cos() * batch.noise[rows] - at.sin() * batch.painting[rows] / FLOW.sigma_data

    monkeypatch.setattr(net, "forward", perfect)
    good = objective.loss(net, batch, 0.9, Generator().manual_seed(1))
    assert float(good.total) < 1e-3
    assert float(good.served_mse) < 1e-8
    assert float(bad.total.detach()) > 0.2


def test_the_gradient_does_not_flow_through_the_reference_and_reaches_every_weight(batch: Batch) -> None:
    net = PainterNet(CONFIG)
    for weights in net.parameters():
        weights.data += 0.01 * torch.randn(weights.shape, generator=Generator().manual_seed(weights.numel()))
    step = Consistency(FLOW, autocast=False).loss(net, batch, 0.3, Generator().manual_seed(1))
    torch.autograd.backward(step.total)
    for name, weights in net.named_parameters():
        assert weights.grad is not None, name
        assert float(weights.grad.abs().max()) > 0, name


def test_no_pair_can_drown_the_served_point(batch: Batch) -> None:
    # Late stages weigh pairs by up to 2^8 where unbounded; measured, that loses 10 dB of the served point in a few steps.
    net = PainterNet(CONFIG)
    losses = [
        float(
            Consistency(FLOW, Sharpness(0, 0), autocast=False)
            .loss(net, batch, progress, Generator().manual_seed(3))
            .total.detach()
        )
        for progress in (0.0, 0.3, 0.6, 0.99)
    ]
    assert max(losses) < 2 * min(losses)
