"""`cmstream models`: what can be loaded."""

from __future__ import annotations

PIPED_COLUMNS = 200
GB = 10**9


def models() -> None:
    """List the models that can be loaded, with size, licence and what they need."""
    from rich.console import Console
    from rich.table import Table

    from cmstream.models.registry import listings
    from cmstream.settings import default_config_path
    from cmstream.settings_loader import load_settings

    table = Table(box=None, pad_edge=False)
    for heading in ("NAME", "TITLE", "LICENCE", "SIZE", "PRESENT", "NEEDS"):
        table.add_column(heading, no_wrap=heading != "NEEDS")
    for one in listings(load_settings(default_config_path()).models):
        size = _size(one.size_bytes) if one.size_bytes else "–"
        table.add_row(one.name, one.title, one.licence, size, "yes" if one.present else "no", one.needs)
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console.width = PIPED_COLUMNS  # for grep, a model is a line
    console.print(table)
    console.print("Painters of your own work too: --model path/to/weights.safetensors")
    console.print("So do latent models in diffusers' layout: --model path/to/folder, or --model hf:owner/name[@revision]")


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:.1f} MiB" if size_bytes < GB else f"{size_bytes / GB:.1f} GB"
