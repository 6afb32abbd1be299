"""`cmstream serve`: resolves the settings, runs the server until a signal, drains."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cmstream.settings import Settings

Config = Annotated[Path | None, typer.Option(help="Settings file; by default cmstream.toml here, if there is one.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")]
ModelName = Annotated[
    str | None,
    typer.Option(help="A name from `cmstream models`, a .safetensors file, a folder of diffusers', or hf:owner/name."),
]


def serve(
    config: Config = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on, for HTTP and gRPC.")] = None,
    http_port: Annotated[int | None, typer.Option(help="Port of the console, WHIP, WHEP and the API; 0 picks one.")] = None,
    grpc_port: Annotated[int | None, typer.Option(help="Port of the gRPC endpoint; 0 picks one.")] = None,
    model: ModelName = None,
    device: Device = None,
) -> None:
    """Run the server: console, WHIP, WHEP, API and gRPC."""
    import asyncio
    import logging

    from cmstream.settings import check_exposure, default_config_path
    from cmstream.settings_loader import load_settings

    settings = load_settings(
        config or default_config_path(),
        {
            "http.host": host,
            "grpc.host": host,
            "http.port": http_port,
            "grpc.port": grpc_port,
            "engine.model": model,
            "engine.device": device,
        },
    )
    check_exposure(settings)
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("aioice").setLevel(logging.WARNING)  # it tells every connectivity check at INFO
    code = asyncio.run(_serve(settings))
    if code is not None:
        logging.shutdown()
        os._exit(code)  # a thread that hangs in the device, or reads gigabytes, would be waited for


async def _serve(settings: Settings) -> int | None:
    """With what to end the process where a thread does not let it end by itself."""
    import asyncio
    import signal

    from cmstream.server import Server

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def ask_to_stop() -> None:
        stop.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)  # a second signal ends the process at once

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask_to_stop)
    async with Server(settings) as server:
        if not stop.is_set():
            print(server.ready_line(), flush=True)
            await stop.wait()
        await server.drain()
    return 1 if server.hung else 0 if server.outlived else None
