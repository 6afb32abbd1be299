"""`cmstream doctor`: says what works here and what does not, with the mend."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

import cmstream
from cmstream.cli.finding import Finding, Verdict, fail, ok
from cmstream.cli.serve import Config

if TYPE_CHECKING:
    from cmstream.settings import Settings


def doctor(config: Config = None) -> None:
    """Check this machine: torch, CUDA, codecs, ports, access, model."""
    broken = False
    for finding in _findings(config):
        print(finding, flush=True)
        broken |= finding.verdict is Verdict.FAIL
    if broken:
        raise typer.Exit(1)


def _findings(config: Config) -> Iterator[Finding]:
    from cmstream.cli import checks
    from cmstream.core.errors import ConfigurationError
    from cmstream.settings import Settings, default_config_path
    from cmstream.settings_loader import load_settings

    yield ok(
        "cmstream", f"{cmstream.__version__} on Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    )
    path = config or default_config_path()
    settings: Settings
    try:
        settings = load_settings(path)
        yield ok("settings", str(path) if path else "the defaults, and CMSTREAM_* variables")
    except ConfigurationError as error:
        yield fail("settings", str(error), "mend that line; the checks below use the defaults")
        settings = Settings()
    yield from checks.check_token(settings)
    yield from checks.check_ports(settings)
    yield from checks.check_media(settings)
    yield from checks.check_torch(settings)
    yield from checks.check_codecs(settings)
    yield from checks.check_model(settings)
    yield from checks.check_remembered(settings)
