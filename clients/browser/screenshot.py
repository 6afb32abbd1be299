"""Makes the README's picture: the real server, a real Chromium whose fake camera sees a photograph.

python clients/browser/screenshot.py [OUT]        by default docs/images/console.png
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHOWN_PX = (1120, 700)
FILM_PX = (640, 480)  # what the console asks a camera for
sys.path.append(str(ROOT))

from PIL import Image  # noqa: E402  the checkout's own tests package is found only now
from skimage import data  # noqa: E402

from tests.e2e.chromium import drive, missing, served  # noqa: E402


def main() -> int:
    """Writes the picture; 1, and one line that says what to do, when something is missing here."""
    lack = missing()
    if lack is not None:
        sys.stderr.write(f"{lack}\n")
        return 1
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images" / "console.png"
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, served() as address:
        film = Path(folder) / "film.mjpeg"
        photograph = Image.fromarray(data.astronaut()[: FILM_PX[1] * 512 // FILM_PX[0]]).resize(FILM_PX)
        photograph.save(film, "JPEG", quality=95)  # one frame is a film, too
        whole = Path(folder) / "whole.png"
        drive("screenshot.mjs", address, str(whole), str(film), timeout_s=90)
        with Image.open(whole) as picture:
            picture.convert("RGB").resize(SHOWN_PX, Image.Resampling.LANCZOS).save(out, optimize=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
