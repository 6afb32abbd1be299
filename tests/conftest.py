"""For all tests. `from tests.x import y` works, and never lets the checkout shadow an installed wheel."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = str(Path(__file__).parents[1])
if ROOT not in sys.path:
    sys.path.append(ROOT)  # last: when a wheel is installed, `cmstream` is the wheel
