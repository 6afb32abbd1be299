"""The objective: ECT's curriculum, the batch mix, and losses that see what they should."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Generator, Tensor

from cmstream.models.config import PainterConfig
from cmstream.models.consistency import T_SERVED, TrigFlow
from cmstream.models.painter import PainterNet
from cmstream.training.objective import (
    STAGES,
    Consistency,
    Regression,
    Sharpness,
    local_energy,
    pseudo_huber,
    psnr_db,
    reference_sigma,
    served_count,
    sharpness_loss,
    stage_at,
    steadiness_loss,
)
from cmstream.training.pairs import Batch, Motion, Pairs

FLOW = TrigFlow(0.5)
CONFIG = PainterConfig(styles=("oil",), sigma_data=0.5, channels=(8, 12), blocks=(1, 1), embedding=8)


class Spy(PainterNet):
    """A net that remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(CONFIG)
        self.asked: list[tuple[Tensor, Tensor, bool]] = []

    def forward(self, noisy: Tensor, src: Tensor, t: Tensor, style: Tensor, scale: Tensor) -> Tensor:
        self.asked.append((noisy.detach().float(), t.clone(), torch.is_grad_enabled()))
        return super().forward(noisy, src, t, style, scale)


@pytest.fixture
def batch(pairs: Pairs) -> Batch:
    return pairs.sample(16, 32, Generator().manual_seed(0))


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
    objective = Consistency(FLOW, autocast=False)
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
        float(Consistency(FLOW, Sharpness(0, 0), False).loss(net, batch, progress, Generator().manual_seed(3)).total.detach())
        for progress in (0.0, 0.3, 0.6, 0.99)
    ]
    assert max(losses) < 2 * min(losses)


def test_the_regression_sees_no_noise(batch: Batch) -> None:
    net = Spy()
    Regression(FLOW, autocast=False).loss(net, batch, 0.0, Generator())
    ((noisy, t, _),) = net.asked
    assert float(noisy.abs().max()) == 0
    assert (t == T_SERVED).all()


def test_pseudo_huber_is_the_root_mean_square_far_out_and_a_square_near_zero() -> None:
    c = torch.full((1,), 0.03)
    assert float(pseudo_huber(torch.full((1, 3, 4, 4), 0.5), c)) == pytest.approx(math.sqrt(0.25 + 0.0009) - 0.03)
    near = float(pseudo_huber(torch.full((1, 3, 4, 4), 1e-3), c))
    assert near == pytest.approx(1e-6 / 0.06, rel=0.01)


def test_sharpness_sees_missing_strokes_and_forgives_a_shift_of_tone() -> None:
    strokes = torch.randn((2, 3, 48, 48), generator=Generator().manual_seed(0))
    whole = float(sharpness_loss(strokes, strokes, Sharpness()))
    toned = float(sharpness_loss(strokes + 0.2, strokes, Sharpness()))
    faded = float(sharpness_loss(0.5 * strokes, strokes, Sharpness()))
    assert whole == 0
    assert toned == pytest.approx(0, abs=1e-5)
    assert faded > 0.1


def test_psnr_is_of_pictures_two_wide() -> None:
    assert psnr_db(4.0) == 0
    assert psnr_db(0.04) == pytest.approx(20)


def test_energy_sees_strokes_that_turned_though_they_are_as_strong() -> None:
    strokes = torch.sin(torch.arange(64) * 1.2).expand(2, 3, 64, 64) * 0.3
    turned = strokes.transpose(2, 3)
    assert float((local_energy(strokes) - local_energy(turned)).abs().mean()) > 0.05
    shifted = strokes.roll(16, 3)
    assert float((local_energy(strokes) - local_energy(shifted)).abs().mean()) < 0.02


def test_steadiness_forgives_what_the_painter_changes_too_and_what_nobody_saw() -> None:
    before = torch.rand((1, 3, 32, 32), generator=Generator().manual_seed(0))
    after = before + 0.3
    still = Motion(torch.zeros(1, 2, 32, 32), torch.ones(1, 1, 32, 32))
    changed, unchanged = torch.cat([before, after]), torch.cat([before, before])
    assert float(steadiness_loss(changed, unchanged, still)) == pytest.approx(0.3, abs=1e-4)
    assert float(steadiness_loss(changed, changed, still)) == pytest.approx(0, abs=1e-6)
    hidden = Motion(still.flow_px, torch.zeros(1, 1, 32, 32))
    assert float(steadiness_loss(changed, unchanged, hidden)) == 0
    moving = Motion(torch.full((1, 2, 32, 32), -3.0), torch.zeros(1, 1, 32, 32))
    moving.seen[:, :, 4:, 4:] = 1
    followed = torch.cat([before, before.roll((3, 3), (2, 3))])
    assert float(steadiness_loss(followed, unchanged, moving)) == pytest.approx(0, abs=1e-4)
