"""The real OBS Studio with the filter, on a screen of its own, with settings of its own, driven by obs-websocket."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.interop.obs_build import ROOT, installed
from tests.interop.obs_websocket import ObsWebSocket, connected
from tests.interop.x11_window import ask_to_close
from tests.interop.xvfb import Screen, xvfb

STARTS_WITHIN_S = 90.0
ENDS_WITHIN_S = 20.0
FPS = 30
CANVAS_PX = (640, 360)

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
AuthRequired=true
ServerPassword={password}
AlertsEnabled=false
"""

PROFILE = f"""[General]
Name=Test

[Video]
BaseCX={CANVAS_PX[0]}
BaseCY={CANVAS_PX[1]}
OutputCX={CANVAS_PX[0]}
OutputCY={CANVAS_PX[1]}
FPSType=0
FPSCommon={FPS}
"""

SCENES = {
    "name": "Test",
    "current_scene": "Empty",
    "current_program_scene": "Empty",
    "scene_order": [{"name": "Empty"}],
    "sources": [{"id": "scene", "name": "Empty", "settings": {}}],
}
"""Without a scene collection OBS makes one with microphone and speakers, and waits for a sound server that is not there."""


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
        """Close its window; gives its exit code. (A signal makes OBS 29 run Qt in a signal handler, which may crash it.)"""
        await asyncio.to_thread(ask_to_close, self.screen.display, "OBS")
        return await asyncio.wait_for(self.process.wait(), ENDS_WITHIN_S)


@asynccontextmanager
async def obs_studio(folder: Path) -> AsyncIterator[ObsStudio]:
    """OBS with the filter installed as `make obs-install` does it, ready to be driven."""
    home, port, password = folder / "config", free_port(), secrets.token_hex(16)  # OBS listens beyond loopback
    await asyncio.to_thread(settle, home, port, password)
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
            async with connected(port, password, STARTS_WITHIN_S) as ask:
                yield ObsStudio(ask, screen, process, output)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


def settle(home: Path, port: int, password: str) -> None:
    """The settings of somebody who has used OBS before, and installed the filter."""
    installed(home)
    basic = home / "obs-studio" / "basic"
    (basic / "profiles" / "Test").mkdir(parents=True)
    (basic / "profiles" / "Test" / "basic.ini").write_text(PROFILE, encoding="utf-8")
    (basic / "scenes").mkdir()
    (basic / "scenes" / "Test.json").write_text(json.dumps(SCENES), encoding="utf-8")
    shutil.copy(ROOT / "docs" / "obs-scenes.json", basic / "scenes" / "cmstream.json")  # as Import does
    (home / "obs-studio" / "global.ini").write_text(GLOBAL.format(port=port, password=password), encoding="utf-8")


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
    }


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
