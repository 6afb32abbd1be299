"""What a test lacks on this machine: locally it is skipped with how to get it, in CI that is a failure."""

from __future__ import annotations

import os

import pytest


def need(lack: str | None) -> None:
    """Go on when `lack` is None, else end the test with it: one line that says what is missing and how to get it."""
    if lack is None:
        return
    if os.environ.get("CI"):
        pytest.fail(lack, pytrace=False)
    pytest.skip(lack)
