"""For all tests. `from tests.x import y` works, and never lets the checkout shadow an installed wheel."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import settings

settings.register_profile("house", deadline=None)  # a busy machine is no falsification
settings.load_profile("house")

ROOT = str(Path(__file__).parents[1])
ALLOWED = (
    ("cmstream/transport/rtc/compat.py", "apply"),  # reads aiortc's source once, while the server starts
)

if ROOT not in sys.path:
    sys.path.append(ROOT)  # last: when a wheel is installed, `cmstream` is the wheel


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests remember is not what the user's servers remember, nor the other way round."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def no_blocking() -> Iterator[None]:
    """A test whose event loop is blocked by the package fails: no file, socket or sleep on the loop."""
    with blockbuster_ctx("cmstream") as watched:
        # Locks are left out: grpc and aiortc take some, for an instant, whenever an object of theirs goes away.
        for name in [name for name in watched.functions if name.startswith("threading.Lock.")]:
            watched.functions.pop(name).deactivate()
        for function in watched.functions.values():
            for file, name in ALLOWED:
                function.can_block_in(file, name)
        yield
