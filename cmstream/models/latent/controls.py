"""What the settings add to a model at start-up beside LoRAs: a ControlNet, an IP-Adapter with its image encoder. Blocking.

Everything is of safetensors, is found as models are (a path, or a place on the hub with its revision), and is checked against
the model before it is fitted to it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from cmstream.core.errors import ConfigurationError
from cmstream.models.latent.controlnet import controlled
from cmstream.models.latent.hub import Hub, OnProgress
from cmstream.models.latent.ip_adapter import fit_adapter
from cmstream.models.latent.likeness import PictureReader
from cmstream.models.latent.loading import Loaded
from cmstream.models.latent.lora_shelf import place_of
from cmstream.models.latent.reference import PREFIX, HubReference, parse_place, parse_reference
from cmstream.settings import ModelSettings

ENCODER = "image_encoder"
ENCODER_FILES = ("config.json", "model.safetensors")

Told: TypeAlias = Callable[[HubReference], OnProgress]
"""Who hears how far the download of a repository is."""


def with_controlnet(loaded: Loaded, told: str, fetch: Callable[[HubReference], Path]) -> Loaded:
    """`loaded` with the ControlNet that `models.controlnet` names. Raises as `controlled` and `fetch` do, and NotFound."""
    folder = fetch(parse_reference(told)) if told.startswith(PREFIX) else Path(told).expanduser()
    return controlled(loaded, folder)


def with_adapter(loaded: Loaded, settings: ModelSettings, hub: Hub, told: Told) -> PictureReader | None:
    """Fit what `models.ip_adapter` names, for good; -> what reads pictures for it, or None where nothing is named.

    Raises as `fit_adapter` and `Hub.fetch_file` do, and ConfigurationError for an image encoder without an adapter.
    """
    if not settings.ip_adapter:
        if settings.image_encoder:
            raise ConfigurationError("models.image_encoder is what an IP-Adapter sees with: name that in models.ip_adapter")
        return None
    place = place_of(settings.ip_adapter)
    file = place if isinstance(place, Path) else hub.fetch_file(*place, told(place[0]))
    return fit_adapter(loaded, file, _encoder(settings, hub, told))


def _encoder(settings: ModelSettings, hub: Hub, told: Told) -> Path:
    """By default in a folder beside the adapter, as it is published."""
    where = settings.image_encoder
    if where and not where.startswith(PREFIX):
        return Path(where).expanduser()
    if not where and not settings.ip_adapter.startswith(PREFIX):
        return Path(settings.ip_adapter).expanduser().parent / ENCODER
    reference, inside = parse_place(where or settings.ip_adapter)
    folder = PurePosixPath(inside) if where else PurePosixPath(inside).parent / ENCODER
    root = hub.fetch_files(reference, [str(folder / file) for file in ENCODER_FILES], told(reference))
    return root / folder
