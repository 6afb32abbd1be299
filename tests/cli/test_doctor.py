"""`cmstream doctor`: every check can say yes and no, and the exit code follows."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import pytest

from cmstream.cli import checks
from cmstream.cli.finding import Finding, Verdict, ok
from cmstream.core.errors import WeightsRejected
from cmstream.engine import build, probe
from cmstream.engine.fake import FakeEngine
from cmstream.settings import AuthSettings, EngineSettings, HttpSettings, RtcSettings, Settings
from cmstream.transport.rtc import nvenc

Cmstream = Callable[..., Any]


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def by_subject(findings: Iterator[Finding]) -> dict[str, Finding]:
    return {finding.subject: finding for finding in findings}


def test_the_codecs_that_webrtc_needs_really_encode_and_decode() -> None:
    found = by_subject(checks.check_codecs(Settings()))
    assert found["H.264"].verdict is Verdict.OK
    assert found["VP8"].verdict is Verdict.OK


def test_nvenc_counts_only_when_it_encodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The encoder is compiled into PyAV everywhere, so that it is listed says nothing."""
    assert av.codec.Codec("h264_nvenc", "w").name == "h264_nvenc"
    monkeypatch.setattr(nvenc, "nvenc_problem", lambda: "no device")
    found = by_subject(checks.check_codecs(Settings()))
    assert found["NVENC"].verdict is Verdict.WARN
    assert "no device" in found["NVENC"].detail
    assert "libx264 encodes instead" in found["NVENC"].mend
    found = by_subject(checks.check_codecs(Settings(rtc=RtcSettings(encoder="nvenc"))))
    assert found["NVENC"].verdict is Verdict.FAIL
    assert "set rtc.encoder" in found["NVENC"].mend
    monkeypatch.setattr(nvenc, "nvenc_problem", lambda: None)
    assert "it encodes for viewers" in by_subject(checks.check_codecs(Settings()))["NVENC"].detail
    settled = by_subject(checks.check_codecs(Settings(rtc=RtcSettings(encoder="x264"))))["NVENC"]
    assert "libx264 encodes, as rtc.encoder says" in settled.detail


def test_a_codec_that_does_not_exist_is_a_problem_not_a_crash() -> None:
    assert checks.codec_problem("no_such_codec", "h264")
    assert checks.codec_problem("libx264", "vp8"), "what one codec wrote, another must not be able to read"


def test_media_is_told_where_it_may_listen_and_what_is_too_narrow() -> None:
    assert by_subject(checks.check_media(Settings()))["media"].detail == "UDP any free port of this machine"
    narrow = RtcSettings(interfaces=("lo",), udp_ports="50000-50001")
    found = by_subject(checks.check_media(Settings(rtc=narrow)))["media"]
    assert found.verdict is Verdict.WARN
    assert "UDP ports 50000-50001 of 127.0.0.1" in found.detail
    assert "2 for up to 64 sessions" in found.detail
    found = by_subject(checks.check_media(Settings(rtc=RtcSettings(interfaces=("wlan9",)))))["media"]
    assert found.verdict is Verdict.FAIL
    assert "'wlan9' has no address here" in found.detail
    assert "lo (127.0.0.1" in found.mend


def test_a_port_in_use_fails_and_names_the_option(taken_port: int) -> None:
    found = by_subject(checks.check_ports(Settings(http=HttpSettings(port=taken_port))))
    assert found["http"].verdict is Verdict.FAIL
    assert "already in use" in found["http"].detail
    assert "--http-port" in found["http"].mend


def test_a_free_port_is_ok() -> None:
    assert checks.port_problem("127.0.0.1", 0) is None
    assert checks.port_problem("203.0.113.7", 0), "an address this machine does not have"


def test_access_is_judged_by_host_and_token() -> None:
    def verdict(host: str, token: str | None) -> Verdict:
        settings = Settings(http=HttpSettings(host=host), auth=AuthSettings.model_validate({"token": token}))
        (finding,) = checks.check_token(settings)
        return finding.verdict

    assert verdict("127.0.0.1", None) is Verdict.OK
    assert verdict("0.0.0.0", None) is Verdict.FAIL
    assert verdict("0.0.0.0", "short") is Verdict.WARN
    assert verdict("0.0.0.0", "x" * 48) is Verdict.OK


def test_cuda_that_is_asked_for_and_absent_fails_and_else_only_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = probe.TorchFacts("2.13.0", 2, "AVX2", None, ())
    monkeypatch.setattr(probe, "torch_facts", lambda: facts)
    wanted = Settings(engine=EngineSettings(device="cuda"))
    assert by_subject(checks.check_torch(wanted))["cuda"].verdict is Verdict.FAIL
    assert by_subject(checks.check_torch(Settings()))["cuda"].verdict is Verdict.WARN


def test_bfloat16_is_read_from_the_processor_and_not_assumed(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("model name\t: Old CPU\nflags\t\t: sse avx2 bf16x\n")
    assert probe.cpu_facts(info) == probe.CpuFacts(
        "Old CPU", probe.cpu_facts().cores, False, frozenset({"sse", "avx2", "bf16x"})
    )
    info.write_text("model name\t: New CPU\nflags\t\t: sse avx512_bf16 amx_bf16\n")
    assert probe.cpu_facts(info).bf16


def test_the_model_check_styles_a_frame_through_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine()
    monkeypatch.setattr(build, "build_engine", lambda settings, clock, models: engine)
    (finding,) = checks.check_model(Settings())
    assert finding.verdict is Verdict.OK
    assert "384×384 px" in finding.detail
    assert engine.batch_sizes == [1]


@pytest.mark.parametrize("error", [WeightsRejected("painter.safetensors is truncated"), RuntimeError("boom")])
def test_a_model_that_cannot_be_loaded_is_a_failure_with_its_reason(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def refuse(settings: EngineSettings, clock: object, models: object) -> None:
        raise error

    monkeypatch.setattr(build, "build_engine", refuse)
    (finding,) = checks.check_model(Settings())
    assert finding.verdict is Verdict.FAIL
    assert str(error) in finding.detail
    assert finding.mend


def test_it_says_where_the_fastest_form_is_remembered_and_whether_that_works(tmp_path: Path) -> None:
    def found(folder: str) -> Finding:
        (finding,) = checks.check_remembered(Settings(engine=EngineSettings(remember=folder)))
        return finding

    (tmp_path / "choice-1.json").write_text("{}")
    assert found(str(tmp_path)).verdict is Verdict.OK
    assert f"1 choice in {tmp_path}" in found(str(tmp_path)).detail
    assert "at every start" in found("off").detail
    unwritable = found(str(tmp_path / "choice-1.json"))
    assert unwritable.verdict is Verdict.WARN
    assert "engine.remember" in unwritable.mend


def test_one_failure_makes_the_exit_code_one(
    cmstream: Cmstream, monkeypatch: pytest.MonkeyPatch, taken_port: int, tmp_path: Path
) -> None:
    monkeypatch.setattr(checks, "check_model", lambda settings: iter([ok("model", "fine")]))
    config = tmp_path / "c.toml"
    config.write_text("[http]\nport = 0\n[grpc]\nport = 0")
    good = cmstream("doctor", "--config", config)
    assert good.code == 0, good.out
    config.write_text(f"[http]\nport = {taken_port}\n[grpc]\nport = 0")
    bad = cmstream("doctor", "--config", config)
    assert bad.code == 1
    assert [line for line in bad.out.splitlines() if line.startswith("FAIL")] == [
        f"FAIL  http      127.0.0.1:{taken_port}: already in use  → stop what uses it, or choose another with --http-port"
    ]


def test_bad_settings_are_reported_and_the_other_checks_still_run(
    cmstream: Cmstream, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(checks, "check_model", lambda settings: iter([ok("model", "fine")]))
    config = tmp_path / "c.toml"
    config.write_text("[http]\nprot = 1")
    outcome = cmstream("doctor", "--config", config)
    assert outcome.code == 1
    assert "did you mean http.port?" in outcome.out
    assert "H.264" in outcome.out
