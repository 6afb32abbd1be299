"""Distillation: the teacher is a painter, and the student is held to its paintings and to its trajectories."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor

from cmstream.models.consistency import T_SERVED
from cmstream.models.painter import PainterModel, PainterNet
from cmstream.training.distillation import Distillation, Sampled, net_of, sampled_studio
from cmstream.training.losses import Sharpness
from cmstream.training.pairs import Batch
from cmstream.training.sampler import TEACHER_STEPS
from cmstream.training.studio import Studio
from tests.training.spy import CONFIG, FLOW, Spy


def test_the_teacher_paints_the_same_of_the_same_noise_and_another_of_another(batch: Batch) -> None:
    torch.manual_seed(0)
    teacher = Sampled(PainterModel(CONFIG, PainterNet(CONFIG)), "oil")
    with torch.inference_mode():
        first, again = (teacher.paint(batch.src[:2], batch.noise[:2]) for _ in range(2))
        other = teacher.paint(batch.src[:2], batch.noise[2:4])
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=0.05)
    assert float(first.abs().max()) <= 1


def test_a_diffusion_model_teaches_every_style_it_has_and_no_other_teacher_has_its_network() -> None:
    model = PainterModel(CONFIG, PainterNet(CONFIG))
    studio = sampled_studio(model, "abc")
    assert studio.styles == CONFIG.styles
    assert studio.recipe(16, 0, "cpu").teacher == "abc"
    assert net_of(studio) is model.net
    assert net_of(Studio(("oil",))) is None
    assert net_of(None) is None


def test_a_pair_lies_on_the_teacher_s_trajectory_one_of_its_steps_apart(batch: Batch) -> None:
    teacher, student = Spy(), Spy()
    Distillation(FLOW, teacher, autocast=False).loss(student, batch, 0.5, Generator().manual_seed(1))
    reference, online = sorted(student.asked, key=lambda asked: asked[2])
    ((seen, teacher_t, has_gradient),) = teacher.asked
    assert not has_gradient
    torch.testing.assert_close(seen, online[0][10:])
    torch.testing.assert_close(teacher_t, online[1][10:])
    torch.testing.assert_close(online[1][10:] - reference[1], torch.full((6,), T_SERVED / TEACHER_STEPS), atol=1e-5, rtol=0)
    torch.testing.assert_close(online[0][:10], batch.noise[:10], atol=1e-5, rtol=0)


def test_a_student_that_knows_the_teacher_s_paintings_has_no_loss(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    student, teacher = PainterNet(CONFIG), PainterNet(CONFIG)
    objective = Distillation(FLOW, teacher, Sharpness(surplus_of={}, surplus=1.0), autocast=False)
    bad = float(objective.loss(student, batch, 0.0, Generator().manual_seed(1)).total.detach())

    def perfect(noisy: Tensor, src: Tensor, t: Tensor, style: Tensor, scale: Tensor) -> Tensor:
        angle, painting = t[:, None, None, None], batch.painting[-len(noisy) :]
        return (angle.cos() * noisy * FLOW.sigma_data - painting) / (FLOW.sigma_data * angle.sin().clamp(min=1e-6))

    for net in (student, teacher):
        monkeypatch.setattr(net, "forward", perfect)
    good = objective.loss(student, batch, 0.0, Generator().manual_seed(1))
    assert float(good.total) < 2e-3
    assert float(good.served_mse) < 1e-8
    assert bad > 0.2
