"""Prompts to embeddings, by the checkpoint's own text encoders. Slow (up to seconds on a CPU): never on the frame path."""

from __future__ import annotations

import inspect
from typing import Any, Protocol

import torch
from torch import Tensor

from cmstream.models.latent.embedding import Embedding


class TextEncoder(Protocol):
    """One thread at a time."""

    def encode(self, text: str) -> Embedding:
        """-> a batch of one, on the device and in the precision of the encoder."""
        ...


class CheckpointText:
    """The text encoders of a diffusers pipeline, through the `encode_prompt` that each of them has."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline
        self._asked = _arguments(pipeline)

    def __repr__(self) -> str:
        return f"<CheckpointText of {type(self._pipeline).__name__}>"

    def encode(self, text: str) -> Embedding:
        """See `TextEncoder`."""
        with torch.inference_mode():
            found = self._pipeline.encode_prompt(prompt=text, **self._asked)
        if len(found) == 4:  # SDXL: tokens, negative, pooled, pooled negative
            return Embedding(found[0], found[2])
        tokens, second = found
        return Embedding(tokens, mask=second if _is_mask(second) else None)


def _is_mask(value: object) -> bool:
    return isinstance(value, Tensor) and value.dim() == 2


def _arguments(pipeline: Any) -> dict[str, Any]:
    """What `encode_prompt` needs beside the prompt; SANA adds its instruction to every prompt, as its call does."""
    asked = inspect.signature(pipeline.encode_prompt).parameters
    given: dict[str, Any] = {"device": pipeline.text_encoder.device, "num_images_per_prompt": 1}
    if "complex_human_instruction" in asked:
        called = inspect.signature(type(pipeline).__call__).parameters
        given["complex_human_instruction"] = called["complex_human_instruction"].default
    if "do_classifier_free_guidance" in asked:
        given["do_classifier_free_guidance"] = False
    return given
