"""Published weights compute here what they compute in the authors' classes, and ours there what they do here."""

import numpy as np
import pytest
import torch
import yaml
from linear_cae import Autoencoder

from lincae.published import RELEASES, read_published, write_published
from lincae.published.names import published_tensors, unused_shapes
from lincae.published.settings import describe

DB = 80


@pytest.mark.parametrize("frames", [8, 9])
@pytest.mark.parametrize("steps", [1, 4])
def test_a_published_folder_computes_the_same(small, small_folder, compare, steps, frames):
    published = read_published(small_folder)
    assert min(compare(small, published.autoencoder, steps, frames)) > DB
    assert published.name == "small"
    assert published.scale_factor is None
    assert not published.autoencoder.training


def test_the_reference_size_computes_the_same(reference, reference_folder, compare):
    published = read_published(reference_folder)
    assert min(compare(reference, published.autoencoder, steps=1, frames=8)) > DB
    assert (published.name, published.scale_factor) == ("lin-cae", 33.0)
    assert sum(p.numel() for p in published.autoencoder.parameters()) == 57_658_690


@pytest.mark.slow
def test_the_reference_size_computes_the_same_in_four_steps(reference, reference_folder, compare):
    assert min(compare(reference, read_published(reference_folder).autoencoder, steps=4, frames=8)) > DB


def test_music2latents_file_holds_the_same_network(reference, tmp_path):
    file, theirs = tmp_path / "music2latent.pt", reference.generator.state_dict()
    torch.save({"gen_state_dict": theirs, "it": 7, "loss": np.float64(0.5)}, file)
    published = read_published(tmp_path)
    file.unlink()
    ours = published_tensors(published.autoencoder.state_dict(), published.autoencoder.sizes)
    assert theirs.keys() - ours.keys() == unused_shapes(published.autoencoder.sizes).keys()
    for name, tensor in ours.items():
        assert tensor.equal(theirs[name]), name
    assert published.name == "music2latent"
    assert published.scale_factor == pytest.approx(16.6667, rel=1e-5)
    assert published.autoencoder.step.end == 3.0
    assert published.autoencoder.spectrogram.hop == 512


@pytest.mark.parametrize("steps", [1, 4])
def test_the_authors_classes_load_what_is_written_here(small_folder, tmp_path, compare, steps):
    ours = read_published(small_folder).autoencoder
    write_published(ours, tmp_path / "written")
    settings = {
        section: yaml.safe_load((tmp_path / "written" / f"{section}_kwargs_last.yaml").read_text())
        for section in ("frontend", "generator", "diffusion")
    }
    theirs = Autoencoder(**settings, scale_factor=3.0, max_batch_size=2).eval()
    stored = torch.load(tmp_path / "written" / "autoencoder_inference_model_last.pth", weights_only=True)
    theirs.load_state_dict(stored, strict=True)
    assert min(compare(theirs, ours, steps, frames=8)) > DB


def test_what_is_written_reads_back_as_it_was(small_folder, tmp_path):
    ours = read_published(small_folder).autoencoder
    write_published(ours, tmp_path / "written")
    again = read_published(tmp_path / "written").autoencoder
    assert describe(again) == describe(ours)
    for name, tensor in again.state_dict().items():
        assert tensor.equal(ours.state_dict()[name]), name


def test_names_hashes_and_scale_factors_are_those_of_the_package():
    from linear_cae import inference

    found = {
        name: (release.repository, release.weights.partition("_weights/")[0], release.scale_factor)
        for name, release in RELEASES.items()
        if name != "music2latent"
    }
    assert found == {
        name: (inference.HF_REPO, code, inference.id_to_scale_factor[name])
        for name, code in inference.id_to_hash.items()
    }


def test_no_tensor_of_these_models_is_without_effect(small_folder, normal):
    """Or a wrong place for it would go unseen above."""
    model = read_published(small_folder).autoencoder
    latents = model.encode(0.1 * normal(1, model.spectrogram.samples(8)))
    sound = model.decode(latents, normal(1, 1, 2, model.spectrogram.bins, 8))
    (sound * normal(*sound.shape, seed=1)).sum().backward()
    assert [name for name, parameter in model.named_parameters() if not parameter.grad.abs().max() > 1e-6] == []
