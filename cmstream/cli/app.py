"""The application: which commands there are, and how every error becomes one line on stderr.

Imports only typer and the standard library; commands import what they need when they run.
"""

from __future__ import annotations

import errno
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

import cmstream
from cmstream.cli.bench import bench
from cmstream.cli.doctor import doctor
from cmstream.cli.models import models
from cmstream.cli.publish import publish
from cmstream.cli.serve import serve
from cmstream.cli.stylize import stylize
from cmstream.cli.swap import swap
from cmstream.cli.train import train
from cmstream.cli.view import view
from cmstream.core.errors import CmstreamError

app = typer.Typer(
    name="cmstream",
    help="Live video, repainted: styles every frame with one evaluation of a consistency model.",
    epilog="Example:  cmstream serve   then open the printed address in a browser.",
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.command(epilog="Example:  cmstream serve --http-port 9000 --device cpu")(serve)
app.command(epilog="Example:  cmstream publish film.mp4 --stream cam --loop")(publish)
app.command(epilog="Example:  cmstream view cam --virtual-camera")(view)
app.command(epilog="Example:  cmstream stylize photo.jpg painted.png --strength 0.8 --seed 7")(stylize)
app.command(epilog="Example:  cmstream models")(models)
app.command(epilog="Example:  cmstream swap sd-turbo")(swap)
app.command(epilog="Example:  cmstream train --out mine.safetensors --minutes 120")(train)
app.command(epilog="Example:  cmstream bench grpc webrtc --out bench.json --plots plots")(bench)
app.command(epilog="Example:  cmstream doctor --config cmstream.toml")(doctor)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show the trace of an error; may stand anywhere.")] = False,
) -> None:
    if version:
        print(f"cmstream {cmstream.__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code: 0, 1 for an error, 2 for wrong usage, 130 when interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    rest = [argument for argument in given if argument != "--verbose"]
    try:
        code = app(rest, prog_name="cmstream", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except typer.TyperException as error:
        print(f"cmstream: {_one_line(error.format_message())} See: cmstream {_command_of(rest)}--help", file=sys.stderr)
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except Exception as error:  # the edge: whatever it is, the user gets one line
        if len(rest) != len(given):
            traceback.print_exc()
        print(f"cmstream: {_explain(error)}", file=sys.stderr)
        return 1


def _command_of(arguments: Sequence[str]) -> str:
    names = {command.name or (command.callback.__name__ if command.callback else "") for command in app.registered_commands}
    return next((f"{argument} " for argument in arguments if argument in names), "")


def _explain(error: Exception) -> str:
    match error:
        case CmstreamError():
            return _one_line(str(error))
        case ModuleNotFoundError() if error.name and not error.name.startswith("cmstream"):
            return f"this needs the package {error.name}, which is not installed; run: pip install 'cmstream[server]'"
        case OSError(errno=errno.ENOSPC):
            return "the disk is full; free some space and run the command again"
        case OSError() if error.strerror:
            about = f"{error.filename}: " if error.filename else ""
            return _one_line(f"{about}{error.strerror}")
        case _:
            return _one_line(f"unexpected {type(error).__name__}: {error}; run it again with --verbose for the trace")


def _one_line(text: str) -> str:
    return " ".join(text.split())
