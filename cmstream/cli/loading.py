"""The engine as the commands without a server use it: same settings, same engine, no sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmstream.engine.base import Engine

if TYPE_CHECKING:
    from cmstream.models.latent.model import LatentModel


def load_engine(model: str | None, device: str | None) -> Engine:
    """Load and warm up, telling a terminal what is under way. The caller closes it.

    Raises NotFound, WeightsRejected, Unavailable, ResourceExhausted or ConfigurationError.
    """
    from rich.console import Console
    from rich.markup import escape

    from cmstream.core.clock import MonotonicClock
    from cmstream.engine.build import build_engine
    from cmstream.settings import default_config_path
    from cmstream.settings_loader import load_settings

    settings = load_settings(default_config_path(), {"engine.model": model, "engine.device": device})
    console = Console(stderr=True)
    with console.status("loading the model") as status:  # on a terminal only
        return build_engine(
            settings.engine, MonotonicClock(), models=settings.models, tell=lambda what: status.update(escape(what))
        )


def load_latent(model: str) -> LatentModel:
    """A latent model without an engine, on the CPU in float32. Raises the same."""
    from rich.console import Console
    from rich.markup import escape

    from cmstream.models.latent.opening import open_latent
    from cmstream.settings import default_config_path
    from cmstream.settings_loader import load_settings

    settings = load_settings(default_config_path()).models
    with Console(stderr=True).status("loading the teacher") as status:
        return open_latent(model, settings, lambda what: status.update(escape(what)))
