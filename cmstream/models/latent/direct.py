"""The direct path: encode, noise, predict, x0, decode, with no pipeline object in between. Engine thread only.

Every row of a batch has its own prompt, noise, strength and guidance, as numbers gathered from banks; only the number of
evaluations is shared. A row computes the same alone (to the rounding of another batch size).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import torch
from torch import Tensor

from cmstream.models.latent.autoencoder import Autoencoder
from cmstream.models.latent.embedding import Embedding, batched
from cmstream.models.latent.family import Guidance, Prediction
from cmstream.models.latent.feedback import Memory, past_of, steadied
from cmstream.models.latent.hints import Hints
from cmstream.models.latent.network import Network
from cmstream.models.latent.schedule import Plan, Step


@dataclass(frozen=True, slots=True)
class Heard:
    """What guides the rows of a batch."""

    prompt: Embedding
    guidance: Tensor  # [B], 1 is none
    negative: Embedding | None = None
    """For classifier-free guidance, at the price of a second evaluation of the same batch; None takes residual guidance."""
    hints: Hints | None = None


class Rows:
    """One `Step` per row of a batch, as columns [B,1,1,1]. In float32 at least.

    At strength 1, x0 is a difference divided by 0.07: in bfloat16 it would keep five bits, and timestep 999 would be 1000.
    """

    def __init__(self, steps: Sequence[Step], device: torch.device, dtype: torch.dtype) -> None:
        table = torch.tensor([astuple(step) for step in steps], dtype=torch.float64)
        self._split(table.to(device, torch.promote_types(dtype, torch.float32)))

    @classmethod
    def of(cls, table: Tensor) -> Rows:
        """Of a table that is on the device already, [B,8] in the order of `Step`: what a captured graph reads."""
        rows = cls.__new__(cls)
        rows._split(table)
        return rows

    def _split(self, table: Tensor) -> None:
        self.timestep = table[:, 0]
        columns = table[:, 1:, None, None, None].unbind(1)
        self.signal, self.noise, self.skip, self.out, self.to_y, self.to_eps, self.to_noise = columns


class DirectPath:
    """A network and an autoencoder as one function of frames."""

    def __init__(self, network: Network, autoencoder: Autoencoder, prediction: Prediction, guidance: Guidance) -> None:
        self.network = network
        self.autoencoder = autoencoder
        self._prediction = prediction
        self._guidance = guidance

    def __repr__(self) -> str:
        return f"<DirectPath {type(self.network).__name__} {self._prediction}, {self.autoencoder!r}>"

    def paint(self, src: Tensor, noise: Tensor, plans: Sequence[Plan], heard: Heard) -> Tensor:
        """`src` [B,3,H,W] in [-1,1], `noise` [B,K,C,h,w] ~ N(0,1), `plans` of B rows with K steps each -> [B,3,H,W].

        Noise 0 is what the latent is mixed with, noise k what is added after evaluation k where the sampler adds any.
        """
        return self.autoencoder.decode(self.painted(self.autoencoder.encode(src), noise, plans, heard))

    def painted(self, latent: Tensor, noise: Tensor, plans: Sequence[Plan], heard: Heard) -> Tensor:
        """The middle of `paint`: latents of the source [B,C,h,w] -> latents of the picture."""
        steps = range(len(plans[0]))
        return self.run(
            latent, noise, [Rows([plan[index] for plan in plans], latent.device, latent.dtype) for index in steps], heard
        )

    def run(self, latent: Tensor, noise: Tensor, rows: Sequence[Rows], heard: Heard) -> Tensor:
        """`painted` with its plans as tables on the device, one an evaluation. Sends nothing there: it can be captured."""
        x = self.begun(latent, noise[:, 0], rows[0])
        for index, each in enumerate(rows):
            fresh = noise[:, index + 1] if index + 1 < noise.shape[1] else None
            x = self.evaluate(x, each, heard, latent, fresh)
        return x.to(latent.dtype)

    def paint_after(
        self,
        src: Tensor,
        noise: Tensor,
        plans: Sequence[Plan],
        heard: Heard,
        memories: Sequence[Memory | None],
        feedback: Sequence[float],
    ) -> tuple[Tensor, Memory]:
        """`paint`, led by what each row's stream painted before: -> [B,3,H,W], and what to hand in with its next frame.

        `feedback` 0 … MAX_FEEDBACK is how much of the past stays where the source stands still; 0 is `paint` to the bit.
        Another prompt arrives over about 1 / (1 - feedback) frames, or at once where the memory that is handed in is None.
        """
        latent = self.autoencoder.encode(src)
        past = past_of(memories, feedback, latent)
        memory = steadied(latent, self.painted(latent, noise, plans, heard), past)
        return self.autoencoder.decode(memory.painted.to(latent.dtype)), memory

    def begun(self, latent: Tensor, noise: Tensor, rows: Rows) -> Tensor:
        """x at the level that each row begins at, in the precision of `rows`: of the source's latent and noise, [B,C,h,w]."""
        return rows.signal * latent + rows.noise * noise

    def evaluate(self, x: Tensor, rows: Rows, heard: Heard, latent: Tensor, fresh: Tensor | None) -> Tensor:
        """One evaluation: x at each row's level [B,C,h,w] -> x where the row leads. `latent` is the source's, for guidance."""
        x0, eps = self._split(self._predicted(x, rows, heard, latent), x, rows)
        following = rows.to_y * (rows.skip * x + rows.out * x0) + rows.to_eps * eps
        return following if fresh is None else following + rows.to_noise * fresh

    def _predicted(self, x: Tensor, rows: Rows, heard: Heard, latent: Tensor) -> Tensor:
        heard_x = x.to(heard.prompt.tokens.dtype)
        if self._guidance is Guidance.EMBEDDED:
            return self.network.predict(heard_x, rows.timestep, heard.prompt, heard.guidance, heard.hints).to(x.dtype)
        if heard.negative is None:
            predicted = self.network.predict(heard_x, rows.timestep, heard.prompt, heard.guidance, heard.hints)
            against = self._as_prediction(latent, x, rows)
        else:
            both = batched([heard.negative, heard.prompt])
            twice = torch.cat([heard_x, heard_x])
            hints = None if heard.hints is None else heard.hints.twice()
            found = self.network.predict(twice, rows.timestep.repeat(2), both, heard.guidance.repeat(2), hints)
            against, predicted = found.chunk(2)
        # lerp is exact at 1, where a sum would round the prediction to the precision of what it is led away from.
        return torch.lerp(against.to(x.dtype), predicted.to(x.dtype), heard.guidance[:, None, None, None].to(x.dtype))

    def _as_prediction(self, latent: Tensor, x: Tensor, rows: Rows) -> Tensor:
        """What a network would predict to which the source is the answer: what residual guidance leads away from.

        StreamDiffusion's residual CFG (arXiv:2312.12491, equation 8) with the source as the negative; no second evaluation.
        """
        eps = (x - rows.signal * latent) / rows.noise
        match self._prediction:
            case Prediction.EPSILON:
                return eps
            case Prediction.V:
                return rows.signal * eps - rows.noise * latent
            case Prediction.SAMPLE:
                return latent

    def _split(self, predicted: Tensor, x: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        """x0 and ε of a prediction (Salimans and Ho 2022, arXiv:2202.00512, appendix D)."""
        match self._prediction:
            case Prediction.EPSILON:
                return (x - rows.noise * predicted) / rows.signal, predicted
            case Prediction.V:
                return rows.signal * x - rows.noise * predicted, rows.signal * predicted + rows.noise * x
            case Prediction.SAMPLE:
                return predicted, (x - rows.signal * predicted) / rows.noise
