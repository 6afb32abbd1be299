"""npm whip-whep, by an author of RFC 9725, in Chromium: it publishes and views, trickles, and deletes, across origins."""

from __future__ import annotations

import re
import sys

import pytest

from cmstream.settings import RtcSettings
from tests.interop.browser import STYLED, published_and_viewed
from tests.interop.node import need_node

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(90)]

WANTED_FPS = 5  # that media flows; what a machine makes of three encoders and a browser is measured elsewhere


@pytest.mark.parametrize(("codec", "audio"), [("H264", True), ("VP8", False)])
async def test_a_browser_publishes_and_views_with_the_client_of_the_rfcs_author(codec: str, audio: bool) -> None:
    need_node(browser=True)
    seen = await published_and_viewed(codec, audio=audio, rtc=RtcSettings())
    published, viewed = seen["published"], seen["viewed"]
    sys.stdout.write(f"\nwhip-whep, {codec}: {published['frames']} encoded, {seen['fps']:.1f} fps seen, {seen['colour']}\n")
    assert seen["errors"] == []
    assert (published["codec"], viewed["codec"]) == (f"video/{codec}", f"video/{codec}")
    assert seen["fps"] > WANTED_FPS
    assert seen["colour"] == pytest.approx(STYLED, abs=40)
    for offer in (published["offer"], viewed["offer"]):
        assert len(re.findall(r"^m=", offer, re.MULTILINE)) == 1 + audio
