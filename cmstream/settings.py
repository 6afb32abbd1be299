"""Every setting on one page. TOML file < environment CMSTREAM_* < command line; frozen once resolved.

A nested setting is `CMSTREAM_HTTP__PORT` in the environment. `docker/cmstream.toml` shows all of them with their
defaults; a test keeps it equal to this file.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, field_validator

from cmstream.core.errors import ConfigurationError
from cmstream.core.params import MAX_BUDGET_MS, MIN_BUDGET_MS

MOST_PORT = 65535
LISTED = "listed"
"""In `models.swappable`: every name of `cmstream models`."""
Port = Annotated[int, Field(ge=0, le=MOST_PORT)]

_ICE_URL = re.compile(
    r"(?P<scheme>stuns?|turns?):(?:(?P<user>[^:@]+):(?P<secret>[^@]+)@)?"
    r"(?P<host>[A-Za-z0-9.-]+)(?::(?P<port>\d{1,5}))?(?P<transport>\?transport=(?:udp|tcp))?"
)
_NOT_IN_CREDENTIALS = re.compile(r"""[^\x21-\x7e]|[,;"'\\<>]""")


def _ice_url(url: str) -> str:
    """RFC 7064 and 7065, with `user:secret@` before the host (percent-encoded where need be). The message never repeats it."""
    parts = _ICE_URL.fullmatch(url)
    if parts is None or int(parts["port"] or 1) not in range(1, 65536):
        raise ValueError("an ICE server is written stun:HOST:PORT or turn:USER:SECRET@HOST:PORT, HOST a name or IPv4")
    if parts["scheme"].startswith("stun") and (parts["user"] or parts["transport"]):
        raise ValueError("a STUN server is written stun:HOST:PORT, without credentials or transport")
    if any(_NOT_IN_CREDENTIALS.search(unquote(parts[part] or "")) for part in ("user", "secret")):
        raise ValueError("credentials must be ASCII without spaces, quotes, commas, semicolons: clients cut Link headers there")
    return url


def _base_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("must be http(s)://host:port, with a path at most")
    return url.rstrip("/")


def _address(text: str) -> str:
    return str(ipaddress.ip_address(text))


Address = Annotated[str, AfterValidator(_address)]
IceUrl = Annotated[str, AfterValidator(_ice_url)]


class Section(BaseModel):
    """A frozen table of the settings file; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class HttpSettings(Section):
    """Console, WHIP, WHEP and the JSON API."""

    host: str = Field("127.0.0.1", description="Address to listen on. Beyond loopback a token is required.")
    port: Port = Field(8080, description="TCP port; 0 picks a free one.")
    allowed_origins: tuple[str, ...] = Field(
        (), description="Other origins whose pages may call this server, e.g. 'https://studio.example'. Own pages always may."
    )
    proxies: tuple[Address, ...] = Field(
        (), description="Addresses of reverse proxies whose X-Forwarded-For says who calls; limits by address go by that."
    )


class GrpcSettings(Section):
    """The gRPC endpoint."""

    host: str = Field("127.0.0.1", description="Address to listen on. Beyond loopback a token is required.")
    port: Port = Field(50051, description="TCP port; 0 picks a free one.")
    reflection: bool = Field(False, description="Serve the reflection API, for grpcurl and the like.")
    window_frames: int = Field(2, ge=1, le=8, description="Frames a client should keep in flight; advertised to it.")
    stall_timeout_s: float = Field(30.0, ge=0.1, le=3600, description="A client that reads nothing for so long is cut off.")


class AuthSettings(Section):
    """Who may use the server."""

    token: SecretStr | None = Field(None, description="Bearer token asked of every request; none means loopback only.")


class EngineSettings(Section):
    """The model and the device it runs on."""

    model: str = Field(
        "painter", description="Name from `cmstream models`, a .safetensors file, a folder of diffusers', or hf:owner/name."
    )
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:N.")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field("auto", description="Precision of the network.")
    runtime: Literal["auto", "torch", "openvino"] = Field(
        "auto", description="What runs it on a CPU; auto measures, openvino needs the extra of that name."
    )
    compile: bool = Field(
        False, description="Compile the network for a GPU (torch.compile): faster frames, minutes more to start; falls back."
    )
    size_px: int = Field(
        384, ge=64, le=1024, description="Working size: frames are styled at the area of a square of this side, aspect kept."
    )
    threads: int = Field(
        0, ge=0, le=256, description="CPU threads for inference; 0 measures how few are about as fast as every core."
    )
    remember: str = Field(
        "auto", min_length=1, description="Folder for what a CPU measured at warm-up; auto is the XDG cache folder, off none."
    )
    watchdog_s: float = Field(
        30.0, ge=1, le=3600, description="A batch not back by then makes the server not ready: the device hangs."
    )
    batch: int = Field(0, ge=0, le=8, description="Largest batch across streams; 0 is 8 on a GPU, and measured on a CPU.")


class ModelSettings(Section):
    """Models to change to; where latent ones, which hear prompts and need the extra `latent`, lie and what they run with."""

    folder: str = Field(
        "auto", min_length=1, description="Folder for what is downloaded; auto is `models` in the XDG cache folder."
    )
    offline: bool = Field(False, description="Ask the hub for nothing, and run what was downloaded before.")
    autoencoder: Literal["tiny", "full"] = Field(
        "tiny", description="tiny (TAESD) is for real time; full is the checkpoint's own, several times slower."
    )
    student: str = Field(
        "", description="How an ordinary checkpoint was made one of few steps: 'lightning', or with a LoRA 'lcm=hf:owner/name'."
    )
    loras: tuple[str, ...] = Field(
        (), description="LoRAs that streams may mix in, e.g. 'ink=ink.safetensors' or 'ink=hf:owner/name/file.safetensors'."
    )
    swappable: tuple[str, ...] = Field(
        (LISTED,),
        description="Models clients may change to: names, 'wave=wave.safetensors', 'x=hf:owner/name'; 'listed' is every name.",
    )
    controlnet: str = Field(
        "",
        description="ControlNet for edges (canny) of the model's base, a folder or 'hf:owner/name': gives 'structure'.",
    )
    ip_adapter: str = Field(
        "",
        description="IP-Adapter of the model's base, a file or 'hf:owner/name/file.safetensors': gives 'reference'.",
    )
    image_encoder: str = Field(
        "",
        description="What the IP-Adapter sees with, a folder or 'hf:owner/name/folder'; '': image_encoder beside its file.",
    )


class StreamSettings(Section):
    """Limits of streams, and what happens under load."""

    max_streams: int = Field(16, ge=1, le=1024, description="Streams at once; the next one is refused.")
    max_viewers: int = Field(64, ge=1, le=4096, description="Viewers at once, over all streams.")
    budget_ms: int = Field(
        150, ge=MIN_BUDGET_MS, le=MAX_BUDGET_MS, description="How old a frame may get; a stream may set its own as a parameter."
    )
    adapt: bool = Field(True, description="Style smaller frames while the engine cannot keep a budget; false fixes the size.")
    lowest_px: int = Field(240, ge=64, le=1024, description="The smallest working size that load may bring a stream to.")
    skip_still: Literal["auto", "off"] = Field(
        "auto", description="Whether a still picture is sent again instead of styled again; a stream may choose for itself."
    )
    linger_s: float = Field(10.0, ge=0, le=3600, description="How long a stream without publisher is kept.")


class RtcSettings(Section):
    """WebRTC peers."""

    ice_servers: tuple[IceUrl, ...] = Field(
        (), description="STUN/TURN URLs for server and clients, e.g. 'turn:user:secret@turn.example:3478'."
    )
    turn_secret: SecretStr | None = Field(
        None,
        min_length=1,
        description="Secret shared with a TURN server (coturn: static-auth-secret): credentials made of it expire.",
    )
    turn_ttl_s: int = Field(3600, ge=60, le=604_800, description="How long credentials made of turn_secret are valid.")
    offers_per_minute: int = Field(
        120, ge=0, le=100_000, description="Offers of an address to WHIP, and as many to WHEP; a quarter at once; 0: no limit."
    )
    changes_per_minute: int = Field(
        1200,
        ge=0,
        le=1_000_000,
        description="PATCH and DELETE by an address; a quarter at once; 0: no limit.",
    )
    max_pending: int = Field(48, ge=1, le=4096, description="WebRTC sessions at once that are not connected yet.")
    overflow_url: Annotated[str, AfterValidator(_base_url)] | None = Field(
        None, description="Another server, 'https://b.example': where POSTs go (307) that this one has no room for."
    )
    interfaces: tuple[str, ...] = Field(
        (), description="Interfaces or addresses for media, e.g. 'eth0'; empty is all, or loopback where http.host is."
    )
    udp_ports: str = Field(
        "", pattern=r"^(\d+-\d+)?$", description="Range of UDP ports for media, e.g. '50000-50199'; empty takes any free port."
    )
    advertised_addresses: tuple[str, ...] = Field(
        (), description="Addresses of a NAT that maps udp_ports one to one to this machine, e.g. '203.0.113.7'."
    )
    playout_delay_ms: int = Field(
        0,
        ge=-1,
        le=40_000,
        description="Longest time a browser may even out jitter; 0 shows frames at once, -1 leaves it to it.",
    )
    connect_timeout_s: float = Field(10.0, ge=1, le=120, description="A peer not connected by then is closed.")
    idle_timeout_s: float = Field(15.0, ge=1, le=600, description="A publisher that sends no frame for so long is closed.")
    silence_timeout_s: float = Field(
        15.0, ge=12, le=600, description="A viewer of whom nothing is heard for so long is closed; ICE asks it every 4 to 6 s."
    )
    bitrate_kbps: int = Field(2500, ge=100, le=50_000, description="Video bitrate to each viewer, at most.")
    encoder: Literal["auto", "x264", "nvenc"] = Field(
        "auto", description="Who encodes H264: auto is an NVIDIA GPU where that works (see cmstream doctor), else x264."
    )
    codec_threads: int = Field(
        0, ge=0, le=32, description="Threads for encoding, decoding and JPEG; 0 is a quarter of the cores, from 2 to 8."
    )
    max_peers: int = Field(64, ge=1, le=4096, description="WebRTC sessions at once, connecting ones included.")

    @field_validator("udp_ports")
    @classmethod
    def _ports_in_order(cls, ports: str) -> str:
        first, last = map(int, ports.split("-")) if ports else (1, 1)
        if not 1 <= first <= last <= MOST_PORT:
            raise ValueError("a range of ports is written FIRST-LAST, from 1-1 to 65535-65535, the lower one first")
        return ports

    @field_validator("advertised_addresses")
    @classmethod
    def _are_addresses(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        for address in addresses:
            try:
                ipaddress.ip_address(address)
            except ValueError:
                raise ValueError("an advertised address is an IP address, not a name or a range") from None
        return addresses

    @property
    def udp_port_range(self) -> tuple[int, int] | None:
        """`udp_ports` as (first, last); None where any port will do."""
        first, _, last = self.udp_ports.partition("-")
        return (int(first), int(last)) if first else None


class RecordingSettings(Section):
    """Recordings of streams into files on this machine."""

    folder: str = Field("", description="Folder that recordings are written to; empty means that this server does not record.")
    container: Literal["mp4", "mkv"] = Field("mp4", description="Format of files, unless a request names one.")
    max_recordings: int = Field(4, ge=1, le=256, description="Recordings at once; the next one is refused.")
    max_minutes: float = Field(120.0, gt=0, le=10_080, description="A recording ends after so long.")
    max_mb: int = Field(4096, ge=1, le=1_000_000, description="A recording ends at this size, in millions of bytes.")
    keep_free_mb: int = Field(512, ge=0, le=10_000_000, description="A recording ends before its disk has less than this left.")


class Settings(Section):
    """All settings of one server."""

    http: HttpSettings = HttpSettings()
    grpc: GrpcSettings = GrpcSettings()
    auth: AuthSettings = AuthSettings()
    engine: EngineSettings = EngineSettings()
    models: ModelSettings = ModelSettings()
    streams: StreamSettings = StreamSettings()
    rtc: RtcSettings = RtcSettings()
    recording: RecordingSettings = RecordingSettings()
    drain_timeout_s: float = Field(2.0, ge=0, le=60, description="How long a stop waits for viewers before it closes them.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Log level, on stderr.")


def default_config_path() -> Path | None:
    """`cmstream.toml` in the working directory, if there is one."""
    path = Path("cmstream.toml")
    return path if path.is_file() else None


def check_exposure(settings: Settings) -> None:
    """Nothing listens beyond loopback without a token. Raises ConfigurationError naming what to set."""
    token = settings.auth.token
    if token is not None and not token.get_secret_value().strip():
        raise ConfigurationError("auth.token is empty; set it to a secret, or remove it to serve loopback only")
    if token is not None:
        return
    for name, host in (("http.host", settings.http.host), ("grpc.host", settings.grpc.host)):
        if not is_loopback(host):
            raise ConfigurationError(
                f"{name} {host!r} is reachable from other machines and no token is set; "
                "set CMSTREAM_AUTH__TOKEN to a secret, or listen on 127.0.0.1"
            )
    for name in settings.rtc.interfaces:
        if name != "lo" and not is_loopback(name):
            raise ConfigurationError(
                f"rtc.interfaces {name!r} is reachable from other machines and no token is set; "
                "set CMSTREAM_AUTH__TOKEN to a secret, or leave rtc.interfaces empty"
            )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`. A name other than localhost is not trusted to resolve to loopback."""
    if host.startswith("unix:"):  # gRPC's name for a socket file
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
