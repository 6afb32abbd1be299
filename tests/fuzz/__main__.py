"""`python -m tests.fuzz SURFACE SECONDS`: coverage-guided fuzzing with atheris, from what real clients sent.

`make fuzz` runs every surface. It stops at the first input that a surface does not answer, and writes that input to out/fuzz.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

OUT = Path("out/fuzz")


def main(name: str, seconds: int) -> None:
    try:
        import atheris
    except ImportError:
        raise SystemExit(
            "atheris is not installed: pip install 'cmstream[fuzz]' (CPython 3.11 to 3.13 on x86-64 Linux)"
        ) from None
    with atheris.instrument_imports(include=["cmstream.transport", "cmstream.wire", "cmstream.core", "aiortc.sdp"]):
        from tests.fuzz.good import GOOD
        from tests.fuzz.surfaces import SURFACES
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as corpus:
        for number, data in enumerate(GOOD[name]):
            (Path(corpus) / str(number)).write_bytes(data)
        options = [f"-max_total_time={seconds}", "-max_len=8192", "-print_final_stats=1", f"-artifact_prefix={OUT}/{name}-"]
        atheris.Setup([sys.argv[0], *options, corpus], SURFACES[name])
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
