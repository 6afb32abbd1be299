"""`cmstream` and `python -m cmstream`: the command line."""

from __future__ import annotations


def main() -> None:
    """Run the command line and exit."""
    from cmstream.cli.app import run

    raise SystemExit(run())


if __name__ == "__main__":
    main()
