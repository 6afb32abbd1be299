"""Settings: the order of the sources, and errors that say where and what."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from cmstream.cli.reference import reference_toml
from cmstream.core.errors import ConfigurationError
from cmstream.settings import AuthSettings, RtcSettings, Settings, check_exposure, is_loopback
from cmstream.settings_loader import known_keys, load_settings

REFERENCE = Path(__file__).parents[1] / "docker" / "cmstream.toml"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("CMSTREAM_")]:
        monkeypatch.delenv(name)


def toml(folder: Path, text: str) -> Path:
    path = folder / "cmstream.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_command_line_beats_the_environment_which_beats_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = toml(tmp_path, "[http]\nport = 1\nhost = '127.0.0.3'\n[grpc]\nport = 11\n[streams]\nmax_streams = 3")
    monkeypatch.setenv("CMSTREAM_HTTP__PORT", "2")
    monkeypatch.setenv("CMSTREAM_GRPC__PORT", "12")
    settings = load_settings(config, {"http.port": 3, "grpc.host": None})
    assert (settings.http.port, settings.grpc.port, settings.streams.max_streams) == (3, 12, 3)
    assert settings.http.host == "127.0.0.3"
    assert settings.grpc.host == "127.0.0.1"


def test_settings_are_frozen_once_resolved() -> None:
    settings = load_settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.http.port = 1  # type: ignore[misc] # the point of the test


def test_lists_are_json_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CMSTREAM_HTTP__ALLOWED_ORIGINS", '["https://a.example", "https://b.example"]')
    assert load_settings().http.allowed_origins == ("https://a.example", "https://b.example")


@pytest.mark.parametrize(
    ("text", "line", "nearest"),
    [
        ("[http]\nhost = '::1'\nprot = 1", 3, "http.port"),
        ("drain_timeout = 4", 1, "drain_timeout_s"),
        ("\n[stream]\nmax_streams = 4", 3, "streams.max_streams"),
        ("[http.port]\nx = 1", 2, "http.port"),
        ("size_px = 256", 1, "engine.size_px"),
    ],
)
def test_an_unknown_key_in_the_file_names_its_line_and_the_nearest_known_one(
    tmp_path: Path, text: str, line: int, nearest: str
) -> None:
    config = toml(tmp_path, text)
    with pytest.raises(ConfigurationError) as caught:
        load_settings(config)
    assert f"{config}:{line}: " in str(caught.value)
    assert f"did you mean {nearest}?" in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value", "nearest"),
    [
        ("CMSTREAM_HTTP__PROT", "1", "CMSTREAM_HTTP__PORT"),
        ("CMSTREAM_HTPP__PORT", "1", "CMSTREAM_HTTP__PORT"),
        ("CMSTREAM_HTTP_PORT", "1", "CMSTREAM_HTTP__PORT"),
        ("CMSTREAM_TOKEN", "1", "CMSTREAM_AUTH__TOKEN"),
        ("CMSTREAM_HTTP", '{"prot": 1}', "http.port"),
    ],
)
def test_an_unknown_variable_names_the_nearest_known_one(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, nearest: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=f"{variable}.*did you mean {nearest}"):
        load_settings()


def test_a_bad_value_names_the_source_that_set_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = toml(tmp_path, "[http]\n\nport = 70000")
    with pytest.raises(ConfigurationError, match=r"cmstream\.toml:3: http\.port: .*65535"):
        load_settings(config)
    monkeypatch.setenv("CMSTREAM_HTTP__PORT", "many")
    with pytest.raises(ConfigurationError, match=r"environment: CMSTREAM_HTTP__PORT: .*integer"):
        load_settings(config)
    with pytest.raises(ConfigurationError, match=r"command line: http\.port: "):
        load_settings(config, {"http.port": -1})


def test_every_bad_value_is_reported_at_once(tmp_path: Path) -> None:
    config = toml(tmp_path, "log_level = 'LOUD'\n[engine]\ndevice = 'tpu'")
    with pytest.raises(ConfigurationError, match=r"log_level.*engine\.device|engine\.device.*log_level"):
        load_settings(config)


def test_secrets_never_reach_a_message(tmp_path: Path) -> None:
    config = toml(tmp_path, "[auth]\ntoken = ['hunter2']\n[rtc]\nice_servers = 'turn:user:hunter2@turn.example'")
    with pytest.raises(ConfigurationError) as caught:
        load_settings(config)
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(load_settings(None, {"auth.token": "hunter2"}))


@pytest.mark.parametrize("content", [b"[http", b"port = ", b"\xff\xfe\x00", b"a = 1\na = 2"])
def test_a_file_that_is_not_toml_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    config = tmp_path / "broken.toml"
    config.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"broken\.toml"):
        load_settings(config)


def test_a_missing_file_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no settings file"):
        load_settings(tmp_path / "absent.toml")


def test_the_reference_file_is_what_the_code_says() -> None:
    assert REFERENCE.read_text(encoding="utf-8") == reference_toml(), "run: make reference"


def test_the_reference_file_loads_to_the_defaults_and_shows_every_setting() -> None:
    assert load_settings(REFERENCE) == Settings()
    text = REFERENCE.read_text(encoding="utf-8")
    for path in known_keys():
        assert f"{path[-1]} = " in text


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "LocalHost", "unix:/run/cmstream.sock"]
)
def test_loopback_needs_no_token(host: str) -> None:
    assert is_loopback(host)
    check_exposure(load_settings(None, {"http.host": host, "grpc.host": host}))


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "", "192.168.1.2", "example.com", "localhost.example.com", "::ffff:10.0.0.1"]
)
@pytest.mark.parametrize("section", ["http", "grpc"])
def test_listening_beyond_loopback_without_a_token_is_refused(host: str, section: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"{section}\.host.*CMSTREAM_AUTH__TOKEN"):
        check_exposure(load_settings(None, {f"{section}.host": host}))
    check_exposure(load_settings(None, {f"{section}.host": host, "auth.token": "a-secret-of-some-length"}))


@pytest.mark.parametrize("token", ["", "   "])
def test_an_empty_token_is_not_a_token(token: str) -> None:
    with pytest.raises(ConfigurationError, match="empty"):
        check_exposure(load_settings(None, {"auth.token": token}))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("udp_ports = '50010-50000'", "FIRST-LAST"),
        ("udp_ports = '1-70000'", "FIRST-LAST"),
        ("udp_ports = '0-10'", "FIRST-LAST"),
        ("udp_ports = '50000'", "udp_ports"),
        ("advertised_addresses = ['nat.example']", "an IP address, not a name"),
        ("advertised_addresses = ['203.0.113.0/24']", "an IP address, not a name"),
        ("ice_servers = ['turn.example:3478']", "stun:HOST:PORT or turn:USER:SECRET@HOST:PORT"),
        ("ice_servers = ['stun:user:secret@stun.example']", "stun:HOST:PORT"),
        ("encoder = 'vaapi'", "encoder"),
        ("playout_delay_ms = -2", "playout_delay_ms"),
    ],
)
def test_a_setting_of_webrtc_that_cannot_work_says_so_at_the_start(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(toml(tmp_path, f"[rtc]\n{text}"))
    assert told in str(caught.value)
    assert ":2: rtc." in str(caught.value)
    assert "secret@stun" not in str(caught.value)


def test_settings_of_webrtc_that_can_work_are_taken() -> None:
    servers = (
        "stun:stun.example",
        "stun:stun.example:3478",
        "turn:user:p%40ss@turn.example:3478",
        "turns:u:s@t.example?transport=tcp",
    )
    rtc = RtcSettings(ice_servers=servers, udp_ports="50000-50010", advertised_addresses=("203.0.113.7", "2001:db8::1"))
    assert rtc.udp_port_range == (50000, 50010)
    assert RtcSettings().udp_port_range is None


def test_media_beyond_loopback_needs_a_token_as_well() -> None:
    check_exposure(Settings(rtc=RtcSettings(interfaces=("lo", "127.0.0.1"))))
    exposed = RtcSettings(interfaces=("eth0",))
    with pytest.raises(ConfigurationError, match=r"rtc\.interfaces 'eth0' is reachable from other machines"):
        check_exposure(Settings(rtc=exposed))
    check_exposure(Settings(rtc=exposed, auth=AuthSettings(token=SecretStr("a secret of some length"))))
