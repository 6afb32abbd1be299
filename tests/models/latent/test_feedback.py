"""What was painted last steadies what is painted next, and holds nothing back that changed."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor

from cmstream.models.latent.direct import Heard
from cmstream.models.latent.embedding import batched
from cmstream.models.latent.feedback import CHANGE, MAX_FEEDBACK, Memory, past_of, steadied, stillness
from cmstream.models.latent.loading import Loaded
from cmstream.models.latent.schedule import plan
from tests.models.latent.conftest import Load
from tests.models.latent.test_direct import noises, source

SHAPE = (1, 4, 16, 16)


def normal(seed: int, shape: tuple[int, ...] = SHAPE) -> Tensor:
    return torch.randn(shape, generator=Generator().manual_seed(seed))


def shown(frames: list[tuple[Tensor, Tensor]], feedback: float) -> list[Memory]:
    """What becomes of source and painted latents of one stream, frame after frame."""
    memory, found = None, []
    for latent, painted in frames:
        memory = steadied(latent, painted, past_of([memory], [feedback], latent))
        found.append(memory)
    return found


@pytest.mark.parametrize("feedback", [0.5, 0.8])
def test_flicker_over_a_still_source_keeps_the_share_that_is_promised(feedback: float) -> None:
    still = normal(0)
    found = shown([(still, normal(seed)) for seed in range(1, 300)], feedback)[40:]
    left = torch.stack([memory.painted for memory in found]).var(0).mean()
    assert float(left) == pytest.approx((1 - feedback) / (1 + feedback), rel=0.12)


def test_a_cut_is_shown_at_once() -> None:
    before, after, painted = normal(1), normal(2), normal(3)
    *_, last = shown([(before, normal(4)), (after, painted)], MAX_FEEDBACK)
    assert (last.painted - painted).abs().max() < 0.02


def test_only_what_moved_is_painted_anew() -> None:
    still, first, second = normal(1), normal(2), normal(3)
    moved = still.clone()
    moved[:, :, 4:8, 4:8] += 2.0
    *_, last = shown([(still, first), (moved, second)], 0.9)
    torch.testing.assert_close(last.painted[:, :, 4:8, 4:8], second[:, :, 4:8, 4:8], atol=0.02, rtol=0)
    far = last.painted[:, :, 10:, 10:]
    torch.testing.assert_close(far, (0.9 * first + 0.1 * second)[:, :, 10:, 10:])


def test_what_changes_slowly_is_never_left_behind() -> None:
    """Each step is far below what is seen as a change; their sum is not."""
    still, step = normal(1), 0.02
    frames = [(still + step * index, torch.full(SHAPE, float(index))) for index in range(200)]
    found = shown(frames, MAX_FEEDBACK)
    lags = [index - float(memory.painted.mean()) for index, memory in enumerate(found)]
    assert max(lags) * step < 1.5 * CHANGE
    for (latent, _), memory, lag in zip(frames, found, lags, strict=True):
        torch.testing.assert_close(memory.source, latent - step * lag, atol=1e-3, rtol=0)


def test_a_result_never_leaves_what_was_painted() -> None:
    found = shown([(normal(0) + 0.1 * normal(seed), normal(seed).clamp(-1, 1)) for seed in range(1, 60)], MAX_FEEDBACK)
    assert max(float(memory.painted.abs().max()) for memory in found) <= 1.0


def test_a_picture_that_was_no_number_haunts_nobody() -> None:
    still, broken = normal(1), normal(2)
    broken[:, :, 3, 3] = float("nan")
    *_, last = shown([(still, broken), (still, normal(3))], 0.9)
    assert torch.isfinite(last.painted).all()
    torch.testing.assert_close(last.painted[..., 3, 3], normal(3)[..., 3, 3])


def test_a_source_that_was_no_number_is_forgotten_and_its_neighbours_are_not() -> None:
    still, broken = normal(1), normal(1)
    broken[:, :, 3, 3] = float("nan")
    found = shown([(broken, normal(2)), (still, normal(3)), (still, normal(4))], 0.9)
    assert torch.isfinite(found[1].painted).all()
    torch.testing.assert_close(found[1].painted[..., 3, 3], normal(3)[..., 3, 3])
    torch.testing.assert_close(found[2].painted[..., 9, 9], (0.9 * found[1].painted + 0.1 * normal(4))[..., 9, 9])


def test_half_precision_remembers_what_it_could_not_add() -> None:
    """A twentieth of what is new is lost in bfloat16 once it is below a 256th of what there is."""
    still = normal(1).bfloat16()
    frames = [(still, torch.full(SHAPE, level).bfloat16()) for level in (1.0, *[1.0625] * 150)]
    *_, last = shown(frames, MAX_FEEDBACK)
    assert float((last.painted - 1.0625).abs().max()) < 1e-3


def test_stillness_falls_with_change_and_looks_at_neighbours() -> None:
    still = normal(1)
    falls = [float(stillness(still + change, still).mean()) for change in (0.0, 0.1, CHANGE, 1.0)]
    assert falls[0] == 1.0
    assert falls == sorted(falls, reverse=True)
    assert falls[2] == pytest.approx(1 / torch.e, abs=1e-5)
    spot = still.clone()
    spot[:, :, 8, 8] += 3.0
    assert (stillness(spot, still) < 0.9).sum() == 9


def test_what_was_painted_at_another_size_is_forgotten() -> None:
    latent = normal(1)
    other = Memory(normal(2, (1, 4, 8, 8)), normal(3, (1, 4, 8, 8)))
    past = past_of([other, None, Memory(latent, latent)], [0.5, 0.5, 0.5], latent)
    assert past.feedback.tolist() == [0.0, 0.0, 0.5]


@pytest.mark.parametrize("feedback", [-0.1, 1.0, float("nan")])
def test_a_feedback_that_would_never_forget_is_refused(feedback: float) -> None:
    with pytest.raises(ValueError, match=r"feedback must be 0 to 0\.95"):
        past_of([None], [feedback], normal(1))


def heard(loaded: Loaded, *texts: str) -> Heard:
    return Heard(batched([loaded.text.encode(text) for text in texts]), torch.ones(len(texts)))


def filmed(seed: int, index: int) -> Tensor:
    """Frame `index` of a camera that stands still, with its noise."""
    return (source(seed) * 0.9 + 0.03 * normal(1000 * seed + index, (1, 3, 64, 64))).clamp(-1, 1)


@pytest.mark.parametrize("name", ["sd-turbo", "sdxl-turbo"])
def test_two_streams_in_a_batch_remember_what_each_remembers_alone(load: Load, name: str) -> None:
    loaded = load(name)
    path, plans = loaded.path, [plan(loaded.family, 1, strength) for strength in (0.5, 0.8)]
    noise, wanted, texts = [noises(loaded, 2, seed) for seed in (1, 2)], [0.8, 0.3], ("a red cat", "fog")
    together: list[Memory | None] = [None, None]
    alone: list[Memory | None] = [None, None]
    for index in range(3):
        src = torch.cat([filmed(1, index), filmed(2, index)])
        both, memory = path.paint_after(src, torch.cat(noise), plans, heard(loaded, *texts), together, wanted)
        together = [memory.row(0), memory.row(1)]
        for row in (0, 1):
            one, mine = path.paint_after(
                src[row : row + 1], noise[row], [plans[row]], heard(loaded, texts[row]), [alone[row]], [wanted[row]]
            )
            alone[row] = mine.row(0)
            torch.testing.assert_close(both[row : row + 1], one, atol=1e-5, rtol=0)


def test_nothing_of_a_stream_stays_in_the_path(load: Load) -> None:
    loaded = load("sd-turbo")
    call = (noises(loaded, 2), [plan(loaded.family, 1, 0.5)], heard(loaded, "fog"))
    plain = loaded.path.paint(filmed(1, 0), *call)
    first, memory = loaded.path.paint_after(filmed(1, 0), *call, [None], [0.9])
    second, _ = loaded.path.paint_after(filmed(1, 1), *call, [memory], [0.9])
    assert torch.equal(first, plain)
    assert torch.equal(loaded.path.paint_after(filmed(1, 0), *call, [None], [0.9])[0], first)
    assert torch.equal(loaded.path.paint_after(filmed(1, 1), *call, [memory], [0.9])[0], second)
    assert torch.equal(loaded.path.paint_after(filmed(1, 1), *call, [memory], [0.0])[0], loaded.path.paint(filmed(1, 1), *call))


def test_a_still_camera_flickers_less(load: Load) -> None:
    loaded = load("sd-turbo")
    call = (noises(loaded, 2), [plan(loaded.family, 1, 0.5)], heard(loaded, "fog"))

    def flicker(feedback: float) -> float:
        memory, frames = None, []
        for index in range(16):
            painted, memory = loaded.path.paint_after(filmed(1, index), *call, [memory], [feedback])
            frames.append(painted)
        return float(torch.stack(frames[6:]).std(0).mean())

    assert flicker(0.8) < 0.5 * flicker(0.0)
