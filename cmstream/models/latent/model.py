"""A latent model as the engine runs it: frames, noise and looks in, frames out. Engine thread only, except for its prompts.

Rows that take another number of evaluations, are guided another way or have other LoRAs run apart; all else shares a batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cmstream.core.look import Look, look_of
from cmstream.core.params import default_params
from cmstream.core.prompting import LoraMix, Prompting
from cmstream.models.base import ModelInput, ModelSpec
from cmstream.models.latent.direct import Heard
from cmstream.models.latent.edges import canny
from cmstream.models.latent.embedding import Embedding, batched
from cmstream.models.latent.encoded import all_of
from cmstream.models.latent.family import Guidance
from cmstream.models.latent.feedback import Memory
from cmstream.models.latent.hints import Edges, Hints, hinted_together
from cmstream.models.latent.likeness import PictureReader
from cmstream.models.latent.loading import Loaded
from cmstream.models.latent.lora import Adaptation
from cmstream.models.latent.lora_shelf import LoraShelf
from cmstream.models.latent.network import UNet
from cmstream.models.latent.noise import latent_noise
from cmstream.models.latent.parameters import DEFAULT_PROMPT, STYLE, latent_parameters
from cmstream.models.latent.prompts import PromptBank
from cmstream.models.latent.references import ReferenceBank
from cmstream.models.latent.schedule import Plan, plan

DEFAULT = Prompting(((DEFAULT_PROMPT, 1.0),))
NOBODY = -1
"""The stream for which the default prompt is kept."""


@dataclass(frozen=True, slots=True)
class _Row:
    """One frame's part in a batch."""

    index: int
    plan: Plan
    prompting: Prompting


class LatentModel:
    """Loaded weights and their prompts; `reader` reads pictures for the IP-Adapter that was fitted to the network.

    `close` ends the threads of prompts, pictures and LoRAs, and gives up the weights where the model `owns` them alone.
    """

    def __init__(
        self,
        name: str,
        title: str,
        licence: str,
        loaded: Loaded,
        loras: LoraShelf | None = None,
        reader: PictureReader | None = None,
        *,
        owns: bool = False,
    ) -> None:
        self.loaded = loaded
        self.loras = loras
        self.adaptation = Adaptation(loaded.path.network.module)
        self.prompts = PromptBank(loaded.text)
        self.prompts.prepare(NOBODY, [DEFAULT_PROMPT, ""]).result()
        self.references = None if reader is None else ReferenceBank(reader)
        self._reader = reader
        self._owns = owns
        names = () if loras is None else loras.names
        parameters = latent_parameters(
            loaded.family, names, keeps_edges=self.keeps_edges, hears_pictures=self.references is not None
        )
        count = sum(weight.numel() for module in self._modules() for weight in module.parameters())
        multiple_px = loaded.path.autoencoder.factor_px
        self.spec = ModelSpec(name, title, licence, (STYLE,), parameters, count, multiple_px)
        self._device, self._dtype = torch.device("cpu"), torch.float32

    def __repr__(self) -> str:
        return f"<LatentModel {self.spec.name} {self.loaded.path!r} on {self._device}, {self.prompts!r}>"

    def to(self, device: torch.device, dtype: torch.dtype) -> LatentModel:
        """See `Model`. The text encoders stay where they are: they are no part of a frame."""
        for module in self._modules():
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
    def device(self) -> torch.device:
        """Where it runs."""
        return self._device

    @property
    def keeps_edges(self) -> bool:
        """Whether a ControlNet was loaded."""
        return self._control is not None

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
        return self.paint_after(src, noise, looks, [None] * len(looks), noise_factor=noise_factor)[0]

    def paint_after(
        self, src: Tensor, noise: Tensor, looks: Sequence[Look], memories: Sequence[Memory | None], *, noise_factor: int = 1
    ) -> tuple[Tensor, list[Memory | None]]:
        """`paint`, led by what each row's stream painted before; and what to hand in with its next frame, if its look asks."""
        painted, remembered = src.clone(), list[Memory | None]([None] * len(looks))
        for rows in self._groups(looks):
            where = torch.tensor([row.index for row in rows], device=src.device)
            found, memory = self._run(src[where], noise[where], rows, [memories[row.index] for row in rows], noise_factor)
            painted[where] = found.to(src.dtype)
            for place, row in enumerate(rows):
                if row.prompting.feedback:
                    remembered[row.index] = memory.row(place)
        return painted, remembered

    def adapt(self, mix: LoraMix) -> None:
        """Have the network's weights under a mix of LoRAs. Engine thread only. Raises EngineFailed for one not prepared."""
        if mix != self.adaptation.mix:
            self.adaptation.turn_to(mix, {} if self.loras is None else self.loras.taken(name for name, _ in mix))

    def prepare(self, stream_id: int, look: Look) -> Future[None]:
        """Have what a look asks for encoded and its LoRAs read; see `Engine.prepare`. From any thread, returns at once."""
        if look.prompting is None:
            return all_of(())
        waiting = [self.prompts.prepare(stream_id, look.prompting.texts)]
        if self.loras is not None:
            waiting.append(self.loras.prepare(name for name, _ in look.prompting.loras))
        if self.references is not None and look.prompting.reference is not None:
            waiting.append(self.references.prepare(stream_id, look.prompting.reference))
        return all_of(waiting)

    def forget(self, stream_id: int) -> None:
        """The stream has ended. From any thread; unknown ids are fine."""
        self.prompts.forget(stream_id)
        if self.references is not None:
            self.references.forget(stream_id)

    def close(self) -> None:
        """End the threads, and give up the weights where they are its own. Closing twice is fine."""
        for each in (self.prompts, self.loras, self.references):
            if each is not None:
                each.close()
        if self._owns:
            self._give_up_weights()

    def _give_up_weights(self) -> None:
        """One by one, so that frames of another engine go on in between.

        The parts refer to each other in circles, as the libraries build them: gigabytes would stay until a full collection of
        cycles, and go all at once then.
        """
        parts = [*self._modules(), *self.loaded.pipeline.components.values()]
        for part in parts if self._reader is None else (*parts, self._reader.module):
            if isinstance(part, torch.nn.Module):
                torch.nn.Module.to_empty(part, device=torch.device("meta"))

    @property
    def _control(self) -> Any:
        network = self.loaded.path.network
        return network.control if isinstance(network, UNet) else None

    def _modules(self) -> Iterable[Any]:
        """What a frame goes through."""
        path = self.loaded.path
        return [each for each in (path.network.module, path.autoencoder.module, self._control) if each is not None]

    def _groups(self, looks: Sequence[Look]) -> Iterator[list[_Row]]:
        groups: dict[tuple[int, bool, LoraMix], list[_Row]] = {}
        for index, look in enumerate(looks):
            prompting = self.prompting_of(look)
            steps = plan(self.loaded.family, prompting.steps, look.strength, prompting.eta)
            if steps:
                alike = (len(steps), self.is_twice(prompting), prompting.loras)
                groups.setdefault(alike, []).append(_Row(index, steps, prompting))
        yield from groups.values()

    def is_twice(self, prompting: Prompting) -> bool:
        """Whether it is guided against the negative prompt, by a second evaluation."""
        return self.loaded.family.guidance is Guidance.FREE and prompting.is_full and prompting.guidance != 1

    def _run(
        self, src: Tensor, noise: Tensor, rows: Sequence[_Row], memories: Sequence[Memory | None], noise_factor: int
    ) -> tuple[Tensor, Memory]:
        path, asked = self.loaded.path, [row.prompting for row in rows]
        self.adapt(asked[0].loras)
        factor_px = path.autoencoder.factor_px // noise_factor
        fields = latent_noise(noise.to(self._dtype), path.autoencoder.channels, factor_px, len(rows[0].plan))
        negatives = [one.negative for one in asked] if self.is_twice(asked[0]) else []
        heard = Heard(
            batched([self.prompts.heard(one.prompt) for one in asked]).to(self._device, self._dtype),
            torch.tensor([one.guidance for one in asked], device=self._device),
            batched([self.prompts.heard(each) for each in negatives]).to(self._device, self._dtype) if negatives else None,
            hinted_together([self._hints(src[place : place + 1], one) for place, one in enumerate(asked)]),
        )
        return path.paint_after(
            src.to(self._dtype), fields, [row.plan for row in rows], heard, memories, [one.feedback for one in asked]
        )

    def _hints(self, src: Tensor, prompting: Prompting) -> Hints | None:
        """Of one frame, `src` [1,3,H,W] as exact as it came; nothing where nothing is asked for."""
        edges = likeness = None
        if self.keeps_edges and prompting.structure:
            edges = Edges(canny(src), torch.tensor([prompting.structure], device=src.device))
        if self.references is not None and prompting.reference is not None and prompting.reference_scale:
            likeness = self.references.heard(prompting.reference, prompting.reference_scale).to(self._device, self._dtype)
        return None if edges is None and likeness is None else Hints(edges, likeness)
