"""The engine as the commands without a server use it."""

from __future__ import annotations

from cmstream.engine.base import Engine


def load_engine(model: str | None, device: str | None) -> Engine:
    """The engine the settings ask for, `model` and `device` overriding. Blocks while it loads and warms up."""
    from cmstream.core.clock import MonotonicClock
    from cmstream.engine.build import build_engine
    from cmstream.settings import default_config_path
    from cmstream.settings_loader import load_settings

    settings = load_settings(default_config_path(), {"engine.model": model, "engine.device": device})
    return build_engine(settings.engine, MonotonicClock())
