"""The optional packages that latent models need. Nothing of them is imported before a latent model is asked for."""

from __future__ import annotations

import importlib
from types import ModuleType

from cmstream.core.errors import ConfigurationError

PACKAGES = ("diffusers", "transformers", "peft", "huggingface_hub")


def optional(name: str) -> ModuleType:
    """The module `name` of the extra. Raises ConfigurationError naming the extra when it, or what it needs, is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:  # diffusers answers with a plain ImportError where a dependency is missing or too old
        lacking = getattr(error, "name", None) or name
        raise ConfigurationError(
            f"latent models need the package {lacking}, which cannot be imported here; run: pip install 'cmstream[latent]'"
        ) from error
