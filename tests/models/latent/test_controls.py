"""A ControlNet and an IP-Adapter of the settings: folders, files, places on the hub (pinned, offline), and every refusal."""

from __future__ import annotations

import gc
import shutil
import weakref
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch

from cmstream.core.errors import CmstreamError, ConfigurationError, NotFound, Unavailable, WeightsRejected
from cmstream.models.latent.hub import Hub
from cmstream.models.latent.model import LatentModel
from cmstream.models.latent.network import UNet
from cmstream.models.registry import load
from cmstream.settings import ModelSettings
from tests.models.latent.conftest import Checkpoints, Load
from tests.models.latent.hinting import write_adapter, write_controlnet, write_image_encoder
from tests.models.latent.hub_server import COMMIT, FakeHub, serving


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, load: Load) -> Path:
    """A ControlNet, and IP-Adapters with their encoders in folders of one repository, as both are published."""
    root = tmp_path_factory.mktemp("published")
    write_controlnet(root / "canny", load("sd-turbo"))
    write_controlnet(root / "canny-xl", load("sdxl-turbo"))
    (root / "adapters" / "models").mkdir(parents=True)
    write_adapter(root / "adapters" / "models" / "plain.safetensors", load("sd-turbo"))
    write_adapter(root / "adapters" / "models" / "xl.safetensors", load("sdxl-turbo"))
    write_image_encoder(root / "adapters" / "models" / "image_encoder")
    shutil.copytree(root / "adapters" / "models" / "image_encoder", root / "adapters" / "elsewhere" / "encoder")
    return root


@pytest.fixture
def hub(published: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with serving({"someone/canny": published / "canny", "someone/adapters": published / "adapters"}) as found:
        monkeypatch.setattr("cmstream.models.latent.opening.Hub", partial(Hub, endpoint=found.endpoint))
        yield found


@pytest.fixture
def settings(tmp_path: Path) -> ModelSettings:
    return ModelSettings(folder=str(tmp_path / "models"))


def opened(folder: Path, settings: ModelSettings, **told: object) -> LatentModel:
    model = load_model(folder, settings, **told)
    model.close()
    return model


def load_model(folder: Path, settings: ModelSettings, **told: object) -> LatentModel:
    model = load(str(folder), settings.model_copy(update=told))
    assert isinstance(model, LatentModel)
    return model


def parameters(model: LatentModel) -> set[str]:
    return {spec.name for spec in model.spec.parameters}


def test_folders_and_files_give_streams_their_parameters(
    checkpoint: Checkpoints, settings: ModelSettings, published: Path
) -> None:
    folder, adapter = checkpoint("sd-turbo"), str(published / "adapters" / "models" / "plain.safetensors")
    plain = opened(folder, settings)
    edges = opened(folder, settings, controlnet=str(published / "canny"))
    pictures = opened(folder, settings, ip_adapter=adapter)
    both = opened(
        folder,
        settings,
        controlnet=str(published / "canny"),
        ip_adapter=adapter,
        image_encoder=str(published / "adapters" / "elsewhere" / "encoder"),
    )
    assert parameters(edges) - parameters(plain) == {"structure"}
    assert parameters(pictures) - parameters(plain) == {"reference", "reference_scale"}
    assert parameters(both) == parameters(edges) | parameters(pictures)
    assert edges.spec.parameter_count > plain.spec.parameter_count


def test_a_model_that_moves_takes_its_controlnet_along(
    checkpoint: Checkpoints, settings: ModelSettings, published: Path
) -> None:
    model = load_model(checkpoint("sd-turbo"), settings, controlnet=str(published / "canny"))
    try:
        model.to(torch.device("cpu"), torch.bfloat16)
        network = model.loaded.path.network
        assert isinstance(network, UNet)
        assert {weight.dtype for weight in network.control.parameters()} == {torch.bfloat16}
    finally:
        model.close()


def test_a_model_that_is_closed_keeps_no_weights_whatever_still_refers_to_it(
    checkpoint: Checkpoints, settings: ModelSettings, published: Path
) -> None:
    told = {"controlnet": str(published / "canny"), "ip_adapter": str(published / "adapters/models/plain.safetensors")}
    model = load_model(checkpoint("sd-turbo"), settings, **told)
    network, parts = model.loaded.path.network, model.loaded.pipeline.components.values()
    assert isinstance(network, UNet)
    modules = [network.module, network.control, model.loaded.path.autoencoder.module]
    modules += [part for part in parts if isinstance(part, torch.nn.Module)]
    weights = [weakref.ref(weight) for module in modules for weight in (*module.parameters(), *module.buffers())]
    assert len(weights) > 300
    gc.disable()
    try:
        model.close()
        model.close()
        assert [weight for weight in weights if weight() is not None] == []
    finally:
        gc.enable()


@pytest.mark.parametrize("encoder", ["", "hf:someone/adapters/elsewhere/encoder"])
def test_places_on_the_hub_are_downloaded_pinned_and_found_again_offline(
    hub: FakeHub, checkpoint: Checkpoints, settings: ModelSettings, encoder: str
) -> None:
    told = {
        "controlnet": f"hf:someone/canny@{COMMIT}",
        "ip_adapter": f"hf:someone/adapters@{COMMIT}/models/plain.safetensors",
        "image_encoder": encoder and encoder.replace("adapters", f"adapters@{COMMIT}"),
    }
    model = opened(checkpoint("sd-turbo"), settings, **told)
    assert parameters(model) >= {"structure", "reference", "reference_scale"}
    fetched = {path.partition("/resolve/")[2] for method, path, _ in hub.asked if method == "GET" and "/resolve/" in path}
    where = "elsewhere/encoder" if encoder else "models/image_encoder"
    assert {path.partition("/")[2] for path in fetched if path.endswith(".safetensors")} == {
        "diffusion_pytorch_model.safetensors",
        "models/plain.safetensors",
        f"{where}/model.safetensors",
    }
    assert {path.partition("/")[0] for path in fetched} == {COMMIT}
    hub.asked.clear()
    opened(checkpoint("sd-turbo"), settings, **told, offline=True)
    assert hub.asked == []


@pytest.mark.parametrize(
    ("told", "kind", "expected"),
    [
        ({"controlnet": "{published}/canny-xl"}, WeightsRejected, "was made for another base"),
        ({"controlnet": "{published}/nothing"}, WeightsRejected, "cannot be read"),
        ({"controlnet": "hf:nobody/nothing"}, NotFound, "has no model nobody/nothing"),
        ({"controlnet": "hf:../../etc"}, NotFound, "hf:owner/name"),
        ({"ip_adapter": "{published}/adapters/models/xl.safetensors"}, WeightsRejected, "was made for another base"),
        ({"ip_adapter": "{published}/adapters/models/none.safetensors"}, WeightsRejected, "none.safetensors"),
        ({"ip_adapter": "hf:someone/adapters/models/none.safetensors"}, NotFound, "has no file 'models/none.safetensors'"),
        ({"ip_adapter": "hf:someone/adapters/models/../../x.safetensors"}, NotFound, "is no place in a repository"),
        ({"ip_adapter": "hf:someone/adapters/models/plain.bin"}, NotFound, "is no file of safetensors"),
        ({"image_encoder": "{published}/canny"}, ConfigurationError, "name that in models.ip_adapter"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(
    hub: FakeHub,
    checkpoint: Checkpoints,
    settings: ModelSettings,
    published: Path,
    told: dict[str, str],
    kind: type[CmstreamError],
    expected: str,
) -> None:
    asked = {name: value.format(published=published) for name, value in told.items()}
    with pytest.raises(kind, match=expected) as caught:
        load_model(checkpoint("sd-turbo"), settings, **asked)
    assert "\n" not in str(caught.value)


def test_offline_nothing_is_asked_of_the_hub(hub: FakeHub, checkpoint: Checkpoints, settings: ModelSettings) -> None:
    for told in ({"controlnet": "hf:someone/canny"}, {"ip_adapter": "hf:someone/adapters/models/plain.safetensors"}):
        with pytest.raises(Unavailable, match="start it once without offline"):
            load_model(checkpoint("sd-turbo"), settings, offline=True, **told)
    assert hub.asked == []
