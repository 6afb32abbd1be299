"""A latent model as the engine runs it: frames, noise and looks in, frames out. Engine thread only, except for its prompts.

Rows that take another number of evaluations, are guided another way or have other LoRAs run apart; all else shares a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import torch
from torch import Tensor

from cmstream.core.look import Look, look_of
from cmstream.core.params import ParameterSpec, common_parameters, default_params
from cmstream.core.prompting import (
    FULL,
    GUIDANCE,
    GUIDANCE_MODE,
    LORAS,
    NEGATIVE_PROMPT,
    PROMPT,
    RESIDUAL,
    STEPS,
    LoraMix,
    Prompting,
)
from cmstream.models.base import ModelInput, ModelSpec
from cmstream.models.latent.direct import Heard
from cmstream.models.latent.embedding import Embedding, batched
from cmstream.models.latent.family import Guidance
from cmstream.models.latent.loading import Loaded
from cmstream.models.latent.lora import Adaptation
from cmstream.models.latent.lora_shelf import LoraShelf
from cmstream.models.latent.noise import latent_noise
from cmstream.models.latent.prompts import PromptBank, all_of
from cmstream.models.latent.schedule import MAX_STEPS, Plan, plan

STYLE = "prompt"
"""The one style of a latent model is its prompt."""
DEFAULT_PROMPT = "an oil painting, thick brush strokes"
DEFAULT = Prompting(((DEFAULT_PROMPT, 1.0),))
NOBODY = -1
"""The stream for which the default prompt is kept."""
MAX_GUIDANCE = 12.0
MAX_LORA = 2.0


@dataclass(frozen=True, slots=True)
class _Row:
    """One frame's part in a batch."""

    index: int
    plan: Plan
    prompting: Prompting


class LatentModel:
    """Loaded weights and their prompts. `close` ends the thread of the prompts."""

    def __init__(self, name: str, title: str, licence: str, loaded: Loaded, loras: LoraShelf | None = None) -> None:
        self.loaded = loaded
        self.loras = loras
        self.adaptation = Adaptation(loaded.path.network.module)
        self.prompts = PromptBank(loaded.text)
        self.prompts.prepare(NOBODY, [DEFAULT_PROMPT, ""]).result()
        network, autoencoder = loaded.path.network.module, loaded.path.autoencoder
        self.spec = ModelSpec(
            name,
            title,
            licence,
            (STYLE,),
            latent_parameters(loaded, () if loras is None else loras.names),
            sum(weight.numel() for module in (network, autoencoder.module) for weight in module.parameters()),
            autoencoder.factor_px,
        )
        self._device, self._dtype = torch.device("cpu"), torch.float32

    def __repr__(self) -> str:
        return f"<LatentModel {self.spec.name} {self.loaded.path!r} on {self._device}, {self.prompts!r}>"

    def to(self, device: torch.device, dtype: torch.dtype) -> LatentModel:
        """See `Model`. The text encoders stay where they are: they are no part of a frame."""
        for module in (self.loaded.path.network.module, self.loaded.path.autoencoder.module):
            torch.nn.Module.to(module, device, dtype)  # diffusers' own warns of every cast
        if self.loras is not None:
            self.loras.to(device)
        self._device, self._dtype = device, dtype
        return self

    def stylize(self, batch: ModelInput) -> Tensor:
        """See `Model`: the default prompt at full strength, in one evaluation."""
        look = look_of(default_params(self.spec.parameters))
        return self.paint(batch.src, batch.noise, [look] * len(batch.src))

    @property
    def default_embedding(self) -> Embedding:
        """Of the default prompt, a batch of one: every other has its shapes."""
        return self.prompts.heard(DEFAULT.prompt)

    def prompting_of(self, look: Look) -> Prompting:
        """What a look asks for, the default where it says nothing."""
        return look.prompting or DEFAULT

    def paint(self, src: Tensor, noise: Tensor, looks: Sequence[Look], *, noise_factor: int = 1) -> Tensor:
        """`src` [B,3,H,W] in [-1,1], `noise` [B,3,H,W] ~ N(0,1), a look each -> [B,3,H,W] in about [-1,1], as `src` is typed.

        A side of `src` may be `noise_factor` times that of `noise`, a power of two: its latents are made of fewer numbers then.
        Strength is how much noise the network has to remove; where that is none, the source is returned as it is.
        """
        painted = src.clone()
        for rows in self._groups(looks):
            where = torch.tensor([row.index for row in rows], device=src.device)
            found = self._run(src[where].to(self._dtype), noise[where].to(self._dtype), rows, noise_factor)
            painted[where] = found.to(src.dtype)
        return painted

    def adapt(self, mix: LoraMix) -> None:
        """Have the network's weights under a mix of LoRAs. Engine thread only. Raises EngineFailed for one not prepared."""
        if mix != self.adaptation.mix:
            self.adaptation.turn_to(mix, {} if self.loras is None else self.loras.taken(name for name, _ in mix))

    def prepare(self, stream_id: int, look: Look) -> Future[None]:
        """Have the texts of a look encoded and its LoRAs read; see `Engine.prepare`. From any thread, returns at once."""
        if look.prompting is None:
            return all_of(())
        texts = self.prompts.prepare(stream_id, look.prompting.texts)
        if self.loras is None:
            return texts
        return all_of((texts, self.loras.prepare(name for name, _ in look.prompting.loras)))

    def forget(self, stream_id: int) -> None:
        """The stream has ended. From any thread; unknown ids are fine."""
        self.prompts.forget(stream_id)

    def close(self) -> None:
        """End the threads of prompts and LoRAs. Closing twice is fine."""
        self.prompts.close()
        if self.loras is not None:
            self.loras.close()

    def _groups(self, looks: Sequence[Look]) -> Iterator[list[_Row]]:
        groups: dict[tuple[int, bool, LoraMix], list[_Row]] = {}
        for index, look in enumerate(looks):
            prompting = self.prompting_of(look)
            steps = plan(self.loaded.family, prompting.steps, look.strength)
            if steps:
                alike = (len(steps), self.is_twice(prompting), prompting.loras)
                groups.setdefault(alike, []).append(_Row(index, steps, prompting))
        yield from groups.values()

    def is_twice(self, prompting: Prompting) -> bool:
        """Whether it is guided against the negative prompt, by a second evaluation."""
        return self.loaded.family.guidance is Guidance.FREE and prompting.is_full and prompting.guidance != 1

    def _run(self, src: Tensor, noise: Tensor, rows: Sequence[_Row], noise_factor: int) -> Tensor:
        autoencoder, steps = self.loaded.path.autoencoder, len(rows[0].plan)
        self.adapt(rows[0].prompting.loras)
        fields = latent_noise(noise, autoencoder.channels, autoencoder.factor_px // noise_factor, steps)
        negatives = [row.prompting.negative for row in rows] if self.is_twice(rows[0].prompting) else []
        heard = Heard(
            batched([self.prompts.heard(row.prompting.prompt) for row in rows]).to(self._device, self._dtype),
            torch.tensor([row.prompting.guidance for row in rows], device=self._device),
            batched([self.prompts.heard(each) for each in negatives]).to(self._device, self._dtype) if negatives else None,
        )
        return self.loaded.path.paint(src, fields, [row.plan for row in rows], heard)


def latent_parameters(loaded: Loaded, loras: tuple[str, ...] = ()) -> tuple[ParameterSpec, ...]:
    """The common parameters, and those of models that hear prompts; `loras` may be mixed in."""
    inside = loaded.family.guidance is Guidance.EMBEDDED
    about = "How hard to follow the prompt; 1 is no guidance."
    found = (
        *common_parameters((STYLE,)),
        ParameterSpec(
            PROMPT,
            "string",
            DEFAULT_PROMPT,
            "Prompt",
            "What to paint: a text, or weights of several that are mixed.",
            is_mixed=True,
        ),
        ParameterSpec(STEPS, "integer", 1, "Steps", "Evaluations of the network for each frame.", 1, MAX_STEPS),
        ParameterSpec(GUIDANCE, "number", 4.5 if inside else 1.0, "Guidance", about, 1.0, MAX_GUIDANCE),
    )
    if loras:
        about = "Weights of LoRAs that are mixed in; 0 is none of one, 1 what it was trained for."
        found = (*found, ParameterSpec(LORAS, "weights", {}, "LoRAs", about, 0.0, MAX_LORA, choices=loras))
    if inside:
        return found
    mode = "Away from the source in the same evaluation (residual), or from the negative prompt in a second one (full)."
    return (
        *found,
        ParameterSpec(
            NEGATIVE_PROMPT, "string", "", "Negative prompt", "What to lead away from, with full guidance.", is_mixed=True
        ),
        ParameterSpec(GUIDANCE_MODE, "choice", RESIDUAL, "Guidance by", mode, choices=(RESIDUAL, FULL)),
    )
