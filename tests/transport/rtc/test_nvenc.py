"""Whether NVENC works is found out by encoding, and where it does not or gives up, x264 takes over."""

from __future__ import annotations

import fractions
from typing import Any

import av
import pytest
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from cmstream.core.errors import ConfigurationError
from cmstream.settings import RtcSettings
from cmstream.transport.rtc import nvenc
from cmstream.transport.rtc.encoders import LowLatencyH264Encoder, live_encoder, open_x264
from cmstream.transport.rtc.nvenc import h264_openers, nvenc_problem, open_nvenc
from tests.transport.rtc.media import stage
from tests.transport.rtc.test_encoders import MOST_BPS, has_idr, picture


def no_device(width_px: int, height_px: int, bps: int) -> Any:
    raise av.FFmpegError(1, "no capable devices found")


def without_forced_idr(width_px: int, height_px: int, bps: int) -> Any:
    return DeafToKeyframes(open_x264(width_px, height_px, bps))


def with_delay(width_px: int, height_px: int, bps: int) -> Any:
    codec: Any = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt, codec.bit_rate = width_px, height_px, "yuv420p", bps
    codec.time_base = fractions.Fraction(1, 90_000)
    codec.options = {"preset": "veryfast", "bf": "0"}  # without zerolatency it looks ahead
    codec.open()
    return codec


class DeafToKeyframes:
    """An encoder to which a picture type means nothing, as NVENC without forced-idr."""

    def __init__(self, codec: Any) -> None:
        self._codec = codec
        self.width, self.height, self.bit_rate = codec.width, codec.height, codec.bit_rate

    def encode(self, frame: av.VideoFrame) -> Any:
        frame.pict_type = av.video.frame.PictureType.NONE
        return self._codec.encode(frame)


class Failing:
    """An encoder whose device goes away after some frames."""

    def __init__(self, codec: Any, frames: int) -> None:
        self._codec, self._left = codec, frames
        self.width, self.height, self.bit_rate = codec.width, codec.height, codec.bit_rate

    def encode(self, frame: av.VideoFrame) -> Any:
        self._left -= 1
        if self._left < 0:
            raise av.FFmpegError(1, "the device is gone")
        return self._codec.encode(frame)


def test_the_probe_accepts_an_encoder_that_does_what_viewers_need() -> None:
    assert nvenc_problem(open_x264) is None


def test_the_probe_says_why_there_is_no_device() -> None:
    problem = nvenc_problem(no_device)
    assert problem is not None
    assert "no capable devices found" in problem


def test_an_encoder_that_ignores_forced_keyframes_is_found_out() -> None:
    assert nvenc_problem(without_forced_idr) == "it makes no keyframe when one is asked for"


def test_an_encoder_that_holds_frames_back_is_found_out() -> None:
    assert nvenc_problem(with_delay) == "it holds frames back"


def test_nvenc_is_never_chosen_where_it_does_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvenc, "nvenc_problem", lambda: "no device")
    assert h264_openers("auto") == [open_x264]
    assert h264_openers("x264") == [open_x264]
    with pytest.raises(ConfigurationError, match=r"rtc\.encoder is nvenc, which does not work here \(no device\); set it"):
        h264_openers("nvenc")
    monkeypatch.setattr(nvenc, "nvenc_problem", lambda: None)
    assert h264_openers("auto") == [open_nvenc, open_x264]
    assert h264_openers("x264") == [open_x264]


async def test_a_server_that_demands_nvenc_does_not_start_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvenc, "nvenc_problem", lambda: "no device")
    with pytest.raises(ConfigurationError, match="nvenc"):
        async with stage(RtcSettings(encoder="nvenc")):
            pass


def test_a_device_without_a_free_session_gives_way_to_x264_at_the_first_frame(caplog: pytest.LogCaptureFixture) -> None:
    encoder = live_encoder(RTCRtpCodecParameters("video/H264", 90_000), MOST_BPS, [no_device, open_x264])
    keys = [has_idr(encoder.encode(picture(index), index == 3)[0]) for index in range(5)]
    assert keys == [True, False, False, True, False]
    assert [record.message for record in caplog.records] == [
        "no_device failed ([Errno 1] no capable devices found); open_x264 encodes from now on"
    ]


def test_a_device_that_goes_away_costs_viewers_no_frame() -> None:
    encoder = LowLatencyH264Encoder(MOST_BPS, [lambda *given: Failing(open_x264(*given), 3), open_x264])
    keys = [has_idr(encoder.encode(picture(index))[0]) for index in range(6)]
    assert keys == [True, False, False, True, False, False], "the other encoder begins with a keyframe"


def test_an_encoder_without_another_behind_it_says_what_failed() -> None:
    with pytest.raises(av.FFmpegError, match="no capable devices"):
        LowLatencyH264Encoder(MOST_BPS, [no_device]).encode(picture(0))
