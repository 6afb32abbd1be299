"""The engine as the commands without a server use it: same settings, same engine, no sessions."""

from __future__ import annotations

from cmstream.engine.base import Engine


def load_engine(model: str | None, device: str | None) -> Engine:
    """Load and warm up. The caller closes it. Raises NotFound, WeightsRejected or ConfigurationError."""
    from cmstream.core.clock import MonotonicClock
    from cmstream.engine.build import build_engine
    from cmstream.settings import default_config_path
    from cmstream.settings_loader import load_settings

    settings = load_settings(default_config_path(), {"engine.model": model, "engine.device": device})
    return build_engine(settings.engine, MonotonicClock())
