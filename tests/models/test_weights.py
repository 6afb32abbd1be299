"""Weights are data: whatever is not a sound safetensors file of this architecture is refused in one sentence."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from torch import Tensor

from cmstream.core.errors import WeightsRejected
from cmstream.models.base import ModelInput
from cmstream.models.config import PainterConfig, format_config
from cmstream.models.painter import ARCHITECTURE, PainterNet
from cmstream.models.weights import MAX_HEADER_BYTES, load_painter, read_tensors, save_painter, write_tensors

CONFIG = PainterConfig(styles=("oil",), sigma_data=0.5, channels=(8, 12), blocks=(1, 1), embedding=8)
METADATA = {"architecture": ARCHITECTURE, "config": format_config(CONFIG)}


@pytest.fixture
def state() -> dict[str, Tensor]:
    return dict(PainterNet(CONFIG).state_dict())


@pytest.fixture
def good(tmp_path: Path, state: dict[str, Tensor]) -> Path:
    path = tmp_path / "good.safetensors"
    save_painter(path, CONFIG, state, {"objective": "consistency"})
    return path


def _rejected(path: Path) -> str:
    with pytest.raises(WeightsRejected) as caught:
        load_painter(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_saved_painter_loads_and_paints_the_same(good: Path, state: dict[str, Tensor]) -> None:
    model = load_painter(good)
    assert model.config == CONFIG
    assert read_tensors(good).metadata["objective"] == "consistency"
    for name, tensor in model.net.state_dict().items():
        assert torch.equal(tensor, state[name].half().float())
    batch = ModelInput(torch.zeros(1, 3, 32, 32), torch.randn(1, 3, 32, 32), torch.ones(1, 1), torch.ones(1))
    with torch.inference_mode():
        assert torch.isfinite(model.stylize(batch)).all()


@pytest.mark.parametrize("suffix", [".pt", ".PTH", ".ckpt", ".bin", ".pkl"])
def test_a_pickle_is_refused_by_name_before_it_is_opened(tmp_path: Path, suffix: str) -> None:
    message = _rejected(tmp_path / f"model{suffix}")
    assert suffix in message
    assert "never read" in message


def test_a_pickle_dressed_as_safetensors_is_refused_and_does_not_run(tmp_path: Path) -> None:
    ran = tmp_path / "ran"

    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return (Path.touch, (ran,))

    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps(Bomb()))
    assert "pickle inside" in _rejected(path)
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("data.pkl", pickle.dumps(Bomb()))
    path.write_bytes(zipped.getvalue())
    assert "pickle inside" in _rejected(path)
    assert not ran.exists()


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    assert "cannot be read" in _rejected(tmp_path / "none.safetensors")
    assert "cannot be read" in _rejected(tmp_path)


def test_a_file_cut_anywhere_is_refused(good: Path) -> None:
    content = good.read_bytes()
    header_end = 8 + int.from_bytes(content[:8], "little")
    for cut in (0, 1, 7, 9, header_end - 1, header_end, header_end + 10, len(content) - 1):
        good.write_bytes(content[:cut])
        assert "truncated" in _rejected(good) or "damaged" in _rejected(good)


def test_a_header_that_claims_too_much_is_refused_without_reading_on(tmp_path: Path) -> None:
    path = tmp_path / "huge.safetensors"
    for claim in (MAX_HEADER_BYTES + 1, 2**63, 2**64 - 1):
        path.write_bytes(claim.to_bytes(8, "little") + b"{}" * 20)
        assert "claims a header" in _rejected(path)


@pytest.mark.parametrize(
    "header", [b"not json at all", b"[1, 2, 3]     ", b'{"__metadata__": 3}', b'{"__metadata__": {"a": 1}}', b'{"a": 1}      ']
)
def test_a_malformed_header_is_refused(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "odd.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    _rejected(path)


def test_flipped_header_bytes_are_refused_or_harmless(good: Path) -> None:
    content = good.read_bytes()
    for place in range(0, 600, 7):
        broken = bytearray(content)
        broken[place] ^= 0x15
        good.write_bytes(bytes(broken))
        try:
            load_painter(good)
        except WeightsRejected:
            continue


def test_another_architecture_is_refused_with_both_names(tmp_path: Path, state: dict[str, Tensor]) -> None:
    path = tmp_path / "other.safetensors"
    write_tensors(path, state, {**METADATA, "architecture": "unet-9000"})
    message = _rejected(path)
    assert "unet-9000" in message
    assert ARCHITECTURE in message
    write_tensors(path, state, {})
    assert "names no architecture" in _rejected(path)


def test_an_unusable_config_is_refused(tmp_path: Path, state: dict[str, Tensor]) -> None:
    path = tmp_path / "config.safetensors"
    write_tensors(path, state, {**METADATA, "config": "{}"})
    assert "unusable config" in _rejected(path)


def test_a_config_of_a_giant_allocates_nothing(tmp_path: Path, state: dict[str, Tensor]) -> None:
    giant = PainterConfig(styles=("oil",), sigma_data=0.5, channels=(512,) * 6, blocks=(8,) * 6, embedding=1024)
    path = tmp_path / "giant.safetensors"
    write_tensors(path, state, {**METADATA, "config": format_config(giant)})
    assert "lacks" in _rejected(path)


def test_missing_extra_misshapen_and_non_finite_tensors_are_each_named(tmp_path: Path, state: dict[str, Tensor]) -> None:
    path = tmp_path / "wrong.safetensors"
    cases: list[tuple[dict[str, Tensor], str]] = [
        ({name: tensor for name, tensor in state.items() if name != "entry.weight"}, "'entry.weight'"),
        ({**state, "surplus": torch.zeros(1)}, "'surplus'"),
        ({**state, "entry.bias": torch.zeros(5)}, "shape"),
        ({**state, "entry.bias": torch.full_like(state["entry.bias"], torch.nan)}, "not finite"),
        ({**state, "entry.bias": torch.zeros_like(state["entry.bias"], dtype=torch.int32)}, "not finite"),
    ]
    for tensors, expected in cases:
        write_tensors(path, tensors, METADATA)
        assert expected in _rejected(path)


def test_writing_is_atomic(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = good.read_bytes()

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cmstream.core.atomic.os.fsync", fail)
    with pytest.raises(OSError, match="No space"):
        write_tensors(good, {"a": torch.zeros(3)}, {})
    assert good.read_bytes() == before
    assert [path.name for path in good.parent.iterdir()] == [good.name]


def test_plain_safetensors_are_read(tmp_path: Path) -> None:
    path = tmp_path / "plain.safetensors"
    path.write_bytes(save({"a": torch.arange(3.0)}))
    file = read_tensors(path)
    assert file.metadata == {}
    assert torch.equal(file.tensors["a"], torch.arange(3.0))
