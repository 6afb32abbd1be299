"""How the published few-step students of ordinary diffusion models are sampled, LoRAs and networks. Pure data.

A checkpoint's own configs cannot say it: they are those of the model that the student was made of. Each is as its authors'
model card has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from cmstream.core.errors import InvalidInput
from cmstream.models.latent.family import Family, Guidance, Prediction, Sampler, Strengths


@dataclass(frozen=True, slots=True)
class Student:
    """What a student changes of the family that it was made of."""

    sampler: Sampler
    prediction: Prediction | None = None
    """None is that of the model it was made of."""
    grid: tuple[int, ...] = ()
    eta: float = 0.0
    """Of TCD alone."""


STUDENTS: Mapping[str, Student] = {
    "lcm": Student(Sampler.LCM),
    "tcd": Student(Sampler.TCD, eta=0.3),
    "hyper-sd": Student(Sampler.DDIM),
    "hyper-sd-unified": Student(Sampler.TCD, eta=1.0),
    "hyper-sdxl-1step": Student(Sampler.LCM, grid=(800,)),
    "lightning": Student(Sampler.EULER),
    "lightning-1step": Student(Sampler.EULER, Prediction.SAMPLE),
    "dmd2": Student(Sampler.LCM, grid=(999, 749, 499, 249)),
    "dmd2-1step": Student(Sampler.LCM, grid=(399,)),
}
"""`hyper-sd`: its LoRAs for 2, 4 and 8 steps; `hyper-sd-unified`: the one for 1 to 8; `hyper-sdxl-1step`: a network."""


def student_named(name: str) -> Student:
    """Raises InvalidInput naming those that are known."""
    found = STUDENTS.get(name)
    if found is None:
        raise InvalidInput(f"there is no sort of student {name[:40]!r}; choose from {', '.join(STUDENTS)}")
    return found


def taught(family: Family, student: Student) -> Family:
    """The family of a model with a student's LoRA or network. Raises InvalidInput where one cannot be made of the other."""
    if family.sampler is Sampler.SCM or family.guidance is Guidance.EMBEDDED:
        raise InvalidInput("students are made of ordinary diffusion models, and this model is a few-step one of another sort")
    return replace(
        family,
        sampler=student.sampler,
        prediction=student.prediction or family.prediction,
        strengths=Strengths.CUT,
        grid=student.grid,
        eta=student.eta,
        is_few_step=True,
    )
