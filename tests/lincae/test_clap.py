"""CLAP as an embedding, on a stand-in for the library: what it is given, and what is made of its answers."""

import sys
from types import SimpleNamespace

import pytest
import torch
from jsonargparse import ArgumentParser
from torch import nn

from lincae.clap import Clap, load_clap
from lincae.metrics import Embedding

RATE, LONGEST = 16_000, 1000


class Extractor:
    """Features are the audio, padded; any clip that is too long is an error, and one of a batch is called so."""

    sampling_rate, nb_max_samples = RATE, LONGEST

    @classmethod
    def from_pretrained(cls, folder, local_files_only=False):
        assert local_files_only
        return cls()

    def __call__(self, clips, sampling_rate, return_tensors):
        assert (sampling_rate, return_tensors) == (RATE, "pt")
        assert all(clip.ndim == 1 and len(clip) <= LONGEST for clip in clips)
        features = torch.stack([nn.functional.pad(torch.from_numpy(clip), (0, LONGEST - len(clip))) for clip in clips])
        return {"input_features": features.double(), "is_longer": torch.tensor([[True], *[[False]] * (len(clips) - 1)])}


class Model(nn.Module):
    """Embeddings are the sum of the audio and of its squares; its dropout must be off."""

    config = SimpleNamespace(projection_dim=2)
    missing: tuple[str, ...] = ()

    def __init__(self):
        super().__init__()
        self.audio_model = nn.BatchNorm1d(2)
        self.text_model = nn.Linear(2, 2)
        self.dropout = nn.Dropout()

    @classmethod
    def from_pretrained(cls, folder, local_files_only=False, output_loading_info=False):
        assert local_files_only
        assert output_loading_info
        return cls(), {"missing_keys": set(cls.missing)}

    def get_audio_features(self, input_features, is_longer):
        assert is_longer.shape == (len(input_features), 1)
        assert not is_longer.any()
        assert input_features.dtype == torch.float32
        sums = torch.stack([input_features.sum(-1), input_features.square().sum(-1)], dim=-1)
        return SimpleNamespace(pooler_output=self.dropout(sums))


class DamagedError(Exception):
    pass


@pytest.fixture
def library(monkeypatch):
    """Puts the stand-ins where the library would be."""
    monkeypatch.setitem(sys.modules, "transformers", SimpleNamespace(ClapModel=Model, ClapFeatureExtractor=Extractor))
    monkeypatch.setitem(sys.modules, "safetensors", SimpleNamespace(SafetensorError=DamagedError))


@pytest.fixture
def folder(tmp_path):
    for name in ("config.json", "preprocessor_config.json", "model.safetensors"):
        (tmp_path / name).touch()
    return tmp_path


def noise(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def sums(audio):
    return torch.stack([audio.sum(-1), audio.square().sum(-1)], dim=-1)


@pytest.mark.usefixtures("library")
def test_a_clip_is_given_as_it_is(folder):
    clap, audio = load_clap(folder), noise(3, LONGEST - 1)
    assert (clap.name, clap.sample_rate, clap.dimensions) == ("clap", RATE, 2)
    torch.testing.assert_close(clap(audio), sums(audio))


def test_a_long_clip_is_the_mean_of_equal_parts_none_of_which_is_left_out():
    audio = noise(2, 2 * LONGEST + 1)
    expected = (sums(audio[:, :667]) + sums(audio[:, 667:1334]) + sums(audio[:, 1334:])) / 3
    torch.testing.assert_close(Clap(Model(), Extractor())(audio), expected)


def test_an_embedding_depends_on_its_clip_alone():
    audio, clap = noise(4, 1500), Clap(Model(), Extractor())
    torch.testing.assert_close(clap(audio[2:3]), clap(audio)[2:3], rtol=0, atol=0)


def test_the_network_is_frozen():
    clap = Clap(Model().train(), Extractor())
    assert not clap.model.training
    assert not any(weights.requires_grad for weights in clap.parameters())


@pytest.mark.usefixtures("library")
def test_a_callback_can_name_it_in_its_configuration(folder):
    parser = ArgumentParser()
    parser.add_argument("--embed", type=Embedding)
    named = {"class_path": "lincae.clap.load_clap", "init_args": {"folder": str(folder)}}
    assert isinstance(parser.instantiate(parser.parse_object({"embed": named})).embed, Clap)


def test_without_the_library_the_extra_is_named(monkeypatch, folder):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install transformers"):
        load_clap(folder)


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json"])
def test_what_has_to_be_downloaded_is_named(folder, file):
    (folder / file).unlink()
    with pytest.raises(FileNotFoundError, match=rf"holds no {file}: download the files of laion/clap-htsat-unfused"):
        load_clap(folder)


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("name", ["audio_model.weight", "audio_model.running_var"])
def test_weights_that_are_missing_are_never_random(folder, monkeypatch, name):
    monkeypatch.setattr(Model, "missing", (name, "text_model.weight"))
    with pytest.raises(ValueError, match=f"lacks 1 weights of CLAP, such as {name}"):
        load_clap(folder)


@pytest.mark.usefixtures("library")
def test_counters_and_weights_for_text_may_be_missing(folder, monkeypatch):
    monkeypatch.setattr(Model, "missing", ("audio_model.num_batches_tracked", "text_model.weight"))
    assert isinstance(load_clap(folder), Clap)


@pytest.mark.usefixtures("library")
def test_damaged_weights_are_named(folder, monkeypatch):
    def damaged(*_, **__):
        raise DamagedError("header too small")

    monkeypatch.setattr(Model, "from_pretrained", damaged)
    with pytest.raises(ValueError, match=r"damaged: header too small\. Download them again"):
        load_clap(folder)
