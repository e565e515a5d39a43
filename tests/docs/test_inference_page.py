"""All examples of the page, in its order, with small models where published ones would be downloaded."""

import dataclasses
import math
import re
from pathlib import Path

import pytest
import soundfile
import torch

from lincae import pretrained
from lincae.autoencoders.consistency import ConsistencyAutoencoder
from lincae.chunk_plan import ChunkPlan
from lincae.framing import Framing
from lincae.networks.sizes import NetworkSizes
from lincae.pretrained import Pretrained
from lincae.published import RELEASES
from lincae.stft import Spectrogram

PAGE = (Path(__file__).parents[2] / "docs" / "inference.md").read_text()
RATE, SAMPLES = 8000, 70_000


@pytest.fixture
def names(tmp_path, monkeypatch):
    """What the examples leave behind."""
    torch.manual_seed(0)
    sizes = NetworkSizes((4, 8, 8, 8, 8), heads=2, bottleneck=8, bottleneck_blocks=1, unet_blocks=1, embedding=16)
    small = ConsistencyAutoencoder(Spectrogram(64, 256), dataclasses.replace(sizes, latents=64), sample_rate=RATE)
    asked = []

    def release(name, repository, patterns):
        asked.append(name)
        return Path(name)

    def from_path(path):
        name = str(path).partition("/")[0]
        if name in RELEASES:
            return Pretrained(small.eval(), RELEASES[name].scale_factor)
        return pretrained.read_saved(path)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pretrained, "downloaded", release)
    monkeypatch.setattr(pretrained, "from_path", from_path)
    for name in ("vocals.wav", "band.wav"):
        soundfile.write(name, (0.1 * torch.randn(SAMPLES)).numpy(), RATE)
    names: dict = {"asked": asked}
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 7
    for block in blocks:
        exec(block, names)
    return names


def test_the_examples_of_the_page(names):
    assert names["asked"] == ["lin-cae", "lin-cae", "music2latent"]
    assert names["quieter_band"].shape == names["without_vocals"].shape == names["whole"].shape == (1, SAMPLES)
    assert soundfile.info("without_vocals.wav").frames == SAMPLES
    assert names["z_vocals"].shape == (1, 64, 137)
    assert names["loud"].shape == names["soft"].shape
    assert names["chunks"].shape == (1, 2, 64, 156)
    assert names["sequence"].dim() == 3
    assert names["apart"].shape == names["joined"].shape == (1, 2 * SAMPLES)
    assert names["same"].scale_factor == 33
    assert names["features"].shape[1] == 8 * 4
    assert names["clips"].shape == (SAMPLES, 1)


def test_the_page_states_the_scale_factors():
    text = " ".join(PAGE.split())
    for name in ("lin-cae", "lin-cae-2", "m2l"):
        assert f"{RELEASES[name].scale_factor:.0f} for `{name}`" in text
    assert RELEASES["music2latent"].scale_factor == pytest.approx(1 / 0.06)
    assert "1 / 0.06 for `music2latent`" in text


def test_the_page_states_the_reference_lengths():
    reference = Framing(512, 2048, 8)
    plain, padded = ChunkPlan(reference), ChunkPlan(reference, padded_edges=True)
    for samples in (2048, 34_304, 34_305, 100_000):
        assert plain.latents(samples) == math.ceil(((samples - 2048) // 512 + 1) / 8)
        assert padded.latents(samples) == math.ceil((samples + 1536) / 4096)
    for latents in (1, 8, 100):
        assert plain.decoded(latents) == 4096 * latents + 1536
        assert padded.decoded(latents) == 4096 * latents - 1536
