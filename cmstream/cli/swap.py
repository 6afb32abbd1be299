"""`cmstream swap`: another model for a running server."""

from __future__ import annotations

from typing import Annotated

import typer

from cmstream.cli.publish import Token
from cmstream.core.errors import InvalidInput


def swap(
    model: Annotated[
        str, typer.Argument(help="Its name; without one, those that the server may be changed to are listed.")
    ] = "",
    grpc: Annotated[str, typer.Option(metavar="HOST:PORT", help="Address of the server's gRPC side.")] = "127.0.0.1:50051",
    token: Token = None,
    cancel: Annotated[bool, typer.Option("--cancel", help="Call off the change that is under way, whoever began it.")] = False,
) -> None:
    """Change the model of a running server, while its streams flow."""
    from cmstream.client import BlockingClient

    if cancel and model:
        raise InvalidInput(f"--cancel takes no model: it calls off the change that is under way; leave {model!r} away")
    with BlockingClient(grpc, token=token) as client:
        if cancel:
            print(f"the change to {client.cancel_swap()} is called off; the model before goes on")
            return
        if not model:
            for one in client.capabilities().available_models:
                print(f"{one.name}  {one.title}" + ("" if one.present else ", to be downloaded first"))
            return
        done = client.swap_model(model, on_doing=_Said())
    print(f"serving {done.model.name} on {done.model.device} in {done.model.precision}")


class _Said:
    """Prints what is new."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, what: str) -> None:
        if what != self._last:
            self._last = what
            print(what, flush=True)
