"""The checks of `cmstream doctor`. Each really does the thing it reports on, and none raises."""

from __future__ import annotations

import errno
import socket
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from cmstream.cli.finding import Finding, fail, ok, warn
from cmstream.core.cache_folder import cache_folder
from cmstream.core.errors import CmstreamError, ConfigurationError, EngineFailed
from cmstream.settings import Settings, check_exposure

SHORT_TOKEN = 16
EVALUATION_TIMEOUT_S = 60.0


def check_torch(settings: Settings) -> Iterator[Finding]:
    """torch, what the processor can do with it, and CUDA where it is wanted."""
    try:
        from cmstream.engine.probe import cpu_facts, torch_facts

        facts, cpu = torch_facts(), cpu_facts()
    except (ImportError, OSError) as error:
        yield fail("torch", f"cannot be imported: {error}", "pip install 'cmstream[server]'")
        return
    yield ok("torch", f"{facts.version}, {facts.threads} threads, {facts.capability}")
    bf16 = "bfloat16 in hardware" if cpu.bf16 else "no bfloat16 in hardware, float32 is used"
    yield ok("cpu", f"{cpu.name}, {cpu.cores} cores, {bf16}")
    if facts.cuda_devices:
        yield from (ok("cuda", device) for device in facts.cuda_devices)
        return
    why = "no device is visible" if facts.cuda_version else "this torch is a CPU build"
    mend = "install a CUDA build of torch" if facts.cuda_version is None else "check the NVIDIA driver with nvidia-smi"
    if settings.engine.device.startswith("cuda"):
        yield fail("cuda", f"{why}, and engine.device is {settings.engine.device}", f"{mend}, or set engine.device to auto")
    else:
        yield warn("cuda", f"{why}; the CPU is used", f"for more frames a second: {mend}")


def check_codecs(settings: Settings) -> Iterator[Finding]:
    """Encodes and decodes a picture with every video codec that WebRTC uses here."""
    try:
        import av  # noqa: F401 # that it can be imported is the first thing to know
    except (ImportError, OSError) as error:
        yield fail("codecs", f"PyAV cannot be imported: {error}", "pip install 'cmstream[server]'")
        return
    reinstall = "pip install --force-reinstall av"
    for subject, encoder, decoder in (("H.264", "libx264", "h264"), ("VP8", "libvpx", "vp8")):
        problem = codec_problem(encoder, decoder)
        worked = f"{encoder} encoded and {decoder} decoded a picture"
        yield ok(subject, worked) if problem is None else fail(subject, f"{encoder}: {problem}", reinstall)
    yield from _check_nvenc(settings)


def _check_nvenc(settings: Settings) -> Iterator[Finding]:
    """Who encodes H.264 for viewers."""
    from cmstream.transport.rtc.nvenc import nvenc_problem

    problem, wanted = nvenc_problem(), settings.rtc.encoder
    if problem is None:
        chosen = "libx264 encodes, as rtc.encoder says" if wanted == "x264" else "it encodes for viewers"
        yield ok("NVENC", f"h264_nvenc encoded, with keyframes when asked: {chosen}")
    elif wanted == "nvenc":
        yield fail("NVENC", f"not usable here ({problem}), and rtc.encoder is nvenc", "set rtc.encoder to auto or x264")
    else:
        yield warn("NVENC", f"not usable here ({problem})", "nothing to do without an NVIDIA GPU: libx264 encodes instead")


def codec_problem(encoder: str, decoder: str) -> str | None:
    """Encode a grey picture of 256×256 and decode it again. Returns why that failed, None when the grey came back."""
    import av

    try:
        writer: Any = av.CodecContext.create(encoder, "w")
        writer.width = writer.height = 256
        writer.pix_fmt, writer.time_base = "yuv420p", Fraction(1, 30)
        picture = av.VideoFrame(256, 256, "yuv420p")
        for plane in picture.planes:
            plane.update(bytes([96]) * plane.buffer_size)
        picture.pts = 0
        packets = [*writer.encode(picture), *writer.encode(None)]
        reader: Any = av.CodecContext.create(decoder, "r")
        frames = [frame for packet in [*packets, None] for frame in reader.decode(packet)]
    except (av.FFmpegError, ValueError) as error:
        return str(error).split("; ")[0]
    if len(frames) != 1 or abs(int(frames[0].to_ndarray(format="yuv420p").mean()) - 96) > 4:
        return "the picture did not come back"
    return None


def check_ports(settings: Settings) -> Iterator[Finding]:
    """Whether the two ports can be listened on now."""
    for subject, host, port, option in (
        ("http", settings.http.host, settings.http.port, "--http-port"),
        ("grpc", settings.grpc.host, settings.grpc.port, "--grpc-port"),
    ):
        problem = port_problem(host, port)
        if problem is None:
            yield ok(subject, f"{host}:{port} is free")
        else:
            yield fail(subject, f"{host}:{port}: {problem}", f"stop what uses it, or choose another with {option}")


def check_media(settings: Settings) -> Iterator[Finding]:
    """Where WebRTC's media may listen."""
    from cmstream.transport.rtc.interfaces import hosts_on

    try:
        hosts = hosts_on(settings.rtc.interfaces)
    except ConfigurationError as error:
        fault, _, mend = str(error).partition("; ")
        yield fail("media", fault, f"name another, {mend}")
        return
    ports = settings.rtc.udp_port_range
    count = ports[1] - ports[0] + 1 if ports is not None else None
    where = (
        f"UDP {'any free port' if ports is None else f'ports {settings.rtc.udp_ports}'} of {', '.join(hosts) or 'this machine'}"
    )
    if count is not None and count < settings.rtc.max_peers:
        mend = "widen rtc.udp_ports, or lower rtc.max_peers"
        yield warn("media", f"{where}: {count} for up to {settings.rtc.max_peers} sessions, each of which takes one", mend)
    else:
        yield ok("media", where)


def port_problem(host: str, port: int) -> str | None:
    """Why nothing can listen on `host`:`port`; None when something can."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen()
    except OSError as error:
        return "already in use" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
    return None


def check_token(settings: Settings) -> Iterator[Finding]:
    """Whether the server would be open to strangers."""
    try:
        check_exposure(settings)
    except ConfigurationError as error:
        fault, _, mend = str(error).partition("; ")
        yield fail("access", fault, mend)
        return
    token = settings.auth.token
    if token is None:
        yield ok("access", "this machine only; no token is asked for")
    elif len(token.get_secret_value()) < SHORT_TOKEN:
        yield warn("access", f"the token has fewer than {SHORT_TOKEN} characters", "make one with: openssl rand -hex 24")
    else:
        yield ok("access", "every request needs the token")


def check_model(settings: Settings) -> Iterator[Finding]:
    """Loads the weights and styles one frame through the engine."""
    try:
        yield ok("model", _evaluate_once(settings))
    except CmstreamError as error:
        yield fail("model", str(error), "see `cmstream models`, and the settings engine.model and engine.device")
    except Exception as error:  # a report must not end in a traceback, whatever is broken
        yield fail("model", f"{type(error).__name__}: {error}", "pip install --force-reinstall 'cmstream[server]'")


def check_remembered(settings: Settings) -> Iterator[Finding]:
    """Where the fastest form is remembered, and whether that can be written. After the model, which may have just done so."""
    folder = cache_folder(settings.engine.remember)
    if folder is None:
        yield ok("remembered", "nothing: a CPU is measured at every start")
        return
    problem = _problem_of(folder)
    if problem is None:
        count = sum(1 for _ in folder.glob("choice-*.json"))
        yield ok("remembered", f"{count} choice{'' if count == 1 else 's'} in {folder}; remove the files to measure again")
    else:
        mend = "set engine.remember to a folder that can be written, or to off"
        yield warn("remembered", f"{folder} cannot be written ({problem}); a CPU is measured at every start", mend)


def _problem_of(folder: Path) -> str | None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return error.strerror or str(error)


def _evaluate_once(settings: Settings) -> str:
    from cmstream.core.clock import NS_PER_MS, MonotonicClock
    from cmstream.core.look import look_of
    from cmstream.core.params import default_params
    from cmstream.engine.base import EngineInput
    from cmstream.engine.build import build_engine

    clock, side_px = MonotonicClock(), settings.engine.size_px
    engine = build_engine(settings.engine, clock, models=settings.models)
    try:
        info = engine.info
        grey = np.full((side_px, side_px, 3), 127, np.uint8)
        frame = EngineInput(1, grey, look_of(default_params(info.parameters)), side_px, side_px)
        start_ns = clock.now_ns()
        (styled,) = engine.submit([frame]).result(timeout=EVALUATION_TIMEOUT_S)
        took_ms = (clock.now_ns() - start_ns) / NS_PER_MS
    finally:
        engine.close()
    if styled.rgb.shape != grey.shape:
        raise EngineFailed(f"the model gave {styled.rgb.shape} for {grey.shape}")
    return f"{info.name} on {info.device} in {info.precision}: {side_px}×{side_px} px in {took_ms:.0f} ms"
