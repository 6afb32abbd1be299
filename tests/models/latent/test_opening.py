"""What `--model` may say of a latent model, against a stand-in for the hub: downloads, progress, LoRAs, and every refusal."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from torch import Tensor

from cmstream.core.errors import CmstreamError, NotFound, ResourceExhausted, Unavailable, WeightsRejected
from cmstream.models.latent import catalogue
from cmstream.models.latent.catalogue import Entry, FewStep
from cmstream.models.latent.family import Sampler
from cmstream.models.latent.hub import Hub
from cmstream.models.latent.model import LatentModel
from cmstream.models.latent.reference import HubReference
from cmstream.models.registry import listings, load
from cmstream.settings import ModelSettings
from tests.models.latent.checkpoints import tiny_autoencoder, write_lora
from tests.models.latent.conftest import Checkpoints
from tests.models.latent.hub_server import COMMIT, FakeHub, serving

NAME = "someone/tiny-turbo"
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def repositories(checkpoint: Checkpoints, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A checkpoint as on the hub, without a tiny autoencoder; one of 1000 steps, with a LoRA; and TAESD."""
    root = tmp_path_factory.mktemp("hub")
    found = {}
    for name, recipe in ((NAME, "sd-turbo"), ("someone/ordinary", "sd15")):
        found[name] = Path(shutil.copytree(checkpoint(recipe), root / recipe))
        shutil.rmtree(found[name] / "vae_tiny")
    tiny_autoencoder().save_pretrained(root / "taesd")
    write_lora(root / "lora", checkpoint("sd15"), seed=1)
    return {**found, catalogue.TAESD.repository: root / "taesd", "someone/lora": root / "lora"}


def asking_at(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub is there."""
    monkeypatch.setattr("cmstream.models.latent.opening.Hub", partial(Hub, endpoint=endpoint))


@pytest.fixture
def hub(repositories: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with serving(repositories) as found:
        asking_at(found.endpoint, monkeypatch)
        taesd = HubReference(catalogue.TAESD.repository)
        monkeypatch.setattr("cmstream.models.latent.opening.autoencoder_for", lambda name: taesd)
        yield found


@pytest.fixture
def settings(tmp_path: Path) -> ModelSettings:
    return ModelSettings(folder=str(tmp_path / "models"))


def opened(told: str, settings: ModelSettings, heard: list[str] | None = None) -> LatentModel:
    model = kept(told, settings, heard)
    model.close()
    return model


def kept(told: str, settings: ModelSettings, heard: list[str] | None = None) -> LatentModel:
    """With its weights, and to be closed."""
    model = load(told, settings, (heard if heard is not None else []).append)
    assert isinstance(model, LatentModel)
    return model


def test_a_model_on_the_hub_is_downloaded_with_taesd_in_place_of_its_own_autoencoder(
    hub: FakeHub, settings: ModelSettings
) -> None:
    heard: list[str] = []
    model = opened(f"hf:{NAME}@{COMMIT}", settings, heard)
    assert (model.spec.name, model.spec.licence) == ("tiny-turbo", "see its model card")
    asked = [path for method, path, _ in hub.asked if method == "GET"]
    assert not [path for path in asked if f"{NAME}/resolve" in path and "/vae/diffusion" in path]
    assert [path for path in asked if f"{catalogue.TAESD.repository}/resolve" in path]
    assert any(what.startswith(f"downloading hf:{NAME}@{COMMIT}, 0.00 of ") for what in heard)
    assert heard[-2:] == ["reading the weights", "encoding the first prompt"]


def test_what_was_downloaded_runs_offline_and_where_the_network_is_gone(
    hub: FakeHub, settings: ModelSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    opened(f"hf:{NAME}", settings)
    hub.asked.clear()
    opened(f"hf:{NAME}", settings.model_copy(update={"offline": True}))
    assert hub.asked == []
    asking_at(NOWHERE, monkeypatch)
    opened(f"hf:{NAME}", settings)
    assert "running what was downloaded before" in caplog.text


def test_a_name_of_the_catalogue_with_a_lora_runs_with_it_fused_and_its_own_sampling(
    hub: FakeHub, settings: ModelSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = kept("hf:someone/ordinary", settings)
    few_step = FewStep(HubReference("someone/lora"), "tcd")
    entry = Entry(HubReference("someone/ordinary"), "Mine", "MIT", 1, 1, few_step)
    monkeypatch.setattr(catalogue, "CATALOGUE", {"mine": entry})
    monkeypatch.setattr("cmstream.models.latent.opening.CATALOGUE", {"mine": entry})
    monkeypatch.setattr("cmstream.models.registry.CATALOGUE", {"mine": entry})
    model = kept("mine", settings)
    assert (model.spec.name, model.spec.title, model.spec.licence) == ("mine", "Mine", "MIT")
    assert model.loaded.family.sampler is Sampler.TCD
    assert model.loaded.family.is_few_step
    assert not plain.loaded.family.is_few_step
    layer = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
    assert (weight(model, layer) - weight(plain, layer)).abs().max() > 0.01
    plain.close()
    model.close()
    (listing,) = [one for one in listings(settings) if one.name == "mine"]
    assert listing.present


def weight(model: LatentModel, layer: str) -> Tensor:
    found: Tensor = model.loaded.path.network.module.get_submodule(layer).weight
    return found


def test_a_folder_runs_by_its_path(checkpoint: Checkpoints, settings: ModelSettings) -> None:
    model = opened(str(checkpoint("lcm")), settings)
    assert model.spec.name == "lcm"
    assert "negative_prompt" not in {spec.name for spec in model.spec.parameters}


def test_what_cannot_be_run_is_refused_before_its_weights_are_downloaded(
    hub: FakeHub, settings: ModelSettings, tmp_path: Path
) -> None:
    strange = tmp_path / "strange"
    shutil.copytree(hub.repositories[NAME], strange)
    index = json.loads((strange / "model_index.json").read_text())
    (strange / "model_index.json").write_text(json.dumps(index | {"_class_name": "FluxPipeline"}))
    hub.repositories = {**hub.repositories, "someone/strange": strange}
    with pytest.raises(WeightsRejected, match="FluxPipeline"):
        load("hf:someone/strange", settings)
    assert not [path for _, path, _ in hub.asked if path.endswith(".safetensors")]


@pytest.mark.parametrize(
    ("told", "kind", "expected"),
    [
        ("hf:nobody/nothing", NotFound, "has no model nobody/nothing"),
        ("hf:../../etc", NotFound, "hf:owner/name"),
        (f"hf:{NAME}@v9", NotFound, "no revision v9"),
    ],
)
def test_a_wrong_name_on_the_hub_is_one_sentence(
    hub: FakeHub, settings: ModelSettings, told: str, kind: type[CmstreamError], expected: str
) -> None:
    with pytest.raises(kind, match=expected) as caught:
        load(told, settings)
    assert "\n" not in str(caught.value)


def test_no_network_no_room_and_offline_are_told_apart(
    settings: ModelSettings, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Unavailable, match="not downloaded and the hub may not be asked"):
        load(f"hf:{NAME}", settings.model_copy(update={"offline": True}))
    with monkeypatch.context() as patch:
        patch.setattr("cmstream.models.latent.hub.RESERVE_BYTES", 1 << 60)
        with pytest.raises(ResourceExhausted, match="free some space"):
            load(f"hf:{NAME}", settings)
    asking_at(NOWHERE, monkeypatch)
    with pytest.raises(Unavailable, match="check the network"):
        load(f"hf:{NAME}", settings)


def test_loras_of_the_settings_become_a_parameter_and_are_fetched_when_first_asked_for(
    hub: FakeHub, settings: ModelSettings, checkpoint: Checkpoints
) -> None:
    told = settings.model_copy(update={"loras": ("ink=hf:someone/lora", "none=hf:someone/lora/none.safetensors")})
    model = load(str(checkpoint("sd15")), told)
    assert isinstance(model, LatentModel)
    try:
        (spec,) = [spec for spec in model.spec.parameters if spec.name == "loras"]
        assert spec.choices == ("ink", "none")
        assert hub.asked == []
        assert model.loras is not None
        model.loras.prepare(["ink"]).result(20)
        assert model.loras.taken(["ink"])
        with pytest.raises(NotFound, match="has no file"):
            model.loras.prepare(["none"]).result(20)
    finally:
        model.close()
