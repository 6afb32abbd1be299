"""What the README shows works."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

from cmstream.engine.fake import FakeEngine
from cmstream.server import Server
from cmstream.settings import GrpcSettings, HttpSettings, Settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


async def lines_of(example: str, tmp_path: Path) -> list[str]:
    """What an example of the README prints, run as printed against a server."""
    settings = Settings(http=HttpSettings(port=0), grpc=GrpcSettings(port=0))
    async with Server(settings, engine=FakeEngine()) as server:
        script = tmp_path / "example.py"
        script.write_text(example.replace("127.0.0.1:50051", server.grpc_address))
        process = await asyncio.create_subprocess_exec(sys.executable, str(script), stdout=asyncio.subprocess.PIPE)
        out, _ = await asyncio.wait_for(process.communicate(), 40)
    assert process.returncode == 0
    return out.decode().splitlines()


async def test_the_python_examples_run_as_printed(tmp_path: Path) -> None:
    frames, latency = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    lines = await lines_of(frames, tmp_path)
    assert len(lines) == 32
    assert "(384, 384, 3)" in lines[-1]
    (line,) = await lines_of(latency, tmp_path)
    assert "100 of 100 frames read" in line


def test_every_file_the_readme_links_to_is_there() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
