"""The real OBS Studio with the filter, on a screen of its own, with settings of its own, driven by obs-websocket."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.interop.obs_build import installed
from tests.interop.obs_websocket import ObsWebSocket, connected
from tests.interop.xvfb import Screen, xvfb

STARTS_WITHIN_S = 40.0
ENDS_WITHIN_S = 20.0
FPS = 30

GLOBAL = """[General]
FirstRun=true
EnableAutoUpdates=false
LastVersion=486539266

[Basic]
Profile=Test
ProfileDir=Test
SceneCollection=Test
SceneCollectionFile=Test

[OBSWebSocket]
FirstLoad=false
ServerEnabled=true
ServerPort={port}
AuthRequired=false
AlertsEnabled=false
"""

PROFILE = f"""[General]
Name=Test

[Video]
BaseCX=640
BaseCY=360
OutputCX=640
OutputCY=360
FPSType=0
FPSCommon={FPS}
"""


@dataclass(frozen=True, slots=True)
class ObsStudio:
    """A running OBS: what drives it, what it shows, and what it wrote."""

    ask: ObsWebSocket
    screen: Screen
    process: asyncio.subprocess.Process
    output: Path

    def log(self) -> str:
        """Everything that OBS has said so far."""
        return self.output.read_text(encoding="utf-8", errors="replace")

    async def quit(self) -> int:
        """Close it as a user would; gives its exit code."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGINT)
        return await asyncio.wait_for(self.process.wait(), ENDS_WITHIN_S)


@asynccontextmanager
async def obs_studio(folder: Path) -> AsyncIterator[ObsStudio]:
    """OBS with the filter installed as `make obs-install` does it, ready to be driven."""
    home, port = folder / "config", free_port()
    await asyncio.to_thread(settle, home, port)
    async with xvfb(folder) as screen:
        output = folder / "obs.log"
        with output.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *("obs", "--multi", "--disable-updater", "--disable-missing-files-check"),
                stdout=log,
                stderr=log,
                env=environment(folder, home, screen),
                cwd=folder,
            )
        try:
            async with connected(port, STARTS_WITHIN_S) as ask:
                yield ObsStudio(ask, screen, process, output)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


def settle(home: Path, port: int) -> None:
    """The settings of somebody who has used OBS before, and installed the filter."""
    installed(home)
    profile = home / "obs-studio" / "basic" / "profiles" / "Test"
    profile.mkdir(parents=True)
    (profile / "basic.ini").write_text(PROFILE, encoding="utf-8")
    (home / "obs-studio" / "global.ini").write_text(GLOBAL.format(port=port), encoding="utf-8")


def environment(folder: Path, home: Path, screen: Screen) -> dict[str, str]:
    """Nothing of the user's own session: no desktop, no sound, no GPU."""
    runtime = folder / "runtime"
    runtime.mkdir(mode=0o700)
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH")}
    return {
        **kept,
        "DISPLAY": screen.display,
        "XDG_CONFIG_HOME": str(home),
        "XDG_RUNTIME_DIR": str(runtime),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "QT_QPA_PLATFORM": "xcb",
        "LIBGL_ALWAYS_SOFTWARE": "1",
        "PULSE_SERVER": "none",
    }


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
