"""`cmstream models`: what can be loaded."""

from __future__ import annotations

PIPED_COLUMNS = 200


def models() -> None:
    """List the models that can be loaded, with size, licence and what they need."""
    from rich.console import Console
    from rich.table import Table

    from cmstream.models.registry import listings

    table = Table(box=None, pad_edge=False)
    for heading in ("NAME", "TITLE", "LICENCE", "SIZE", "PRESENT", "NEEDS"):
        table.add_column(heading, no_wrap=heading != "NEEDS")
    for one in listings():
        size = f"{one.size_bytes / 2**20:.1f} MiB" if one.present else "–"
        table.add_row(one.name, one.title, one.licence, size, "yes" if one.present else "no", one.needs)
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console.width = PIPED_COLUMNS  # for grep, a model is a line
    console.print(table)
    console.print("Any painter of your own works too: --model path/to/weights.safetensors")
