"""Decodes that can be compared: shared noise, trimmed edges, lengths."""

import pytest
import torch
from torch import Tensor

from lincae.evaluation import NOISE_SEED, DecodedClips, trim
from lincae.streams import Draws

FRAME = 16


class Toy:
    """Latents are frames of audio; a decode is theirs plus noise, and `extra` samples of silence."""

    sample_rate = 8000

    def __init__(self, margin: int = 0, noise: float = 0.0, extra: int = 0) -> None:
        self.margin, self.noise, self.extra = margin, noise, extra

    def encode(self, audio: Tensor) -> Tensor:
        return audio.unflatten(-1, (FRAME, -1))

    def sample_noise(self, latents: Tensor, draws: Draws, steps: int = 1) -> Tensor | None:
        return draws.normal("noise", *latents.shape) if self.noise else None

    def decode(self, latents: Tensor, noise: Tensor | None, steps: int = 1) -> Tensor:
        if noise is not None:
            latents = latents + self.noise * noise
        audio = latents.flatten(1)
        return torch.nn.functional.pad(audio, (0, self.extra)) if self.extra >= 0 else audio[:, : self.extra]


def clips(rows=3, samples=320):
    return torch.randn(rows, samples, generator=torch.Generator().manual_seed(0))


def test_trim():
    audio = torch.arange(10).expand(2, 3, 10)
    assert torch.equal(trim(audio, 2), torch.arange(2, 8).expand(2, 3, 6))
    assert torch.equal(trim(audio, 0), audio)


@pytest.mark.parametrize("extra", [0, 100])
@pytest.mark.parametrize("margin", [0, 24])
def test_clips_and_decodes_have_the_same_length_without_margins(margin, extra):
    audio = clips()
    decoded = DecodedClips.of(Toy(margin, extra=extra), audio, torch.arange(3))
    middle = audio[:, margin : 320 - margin]
    assert torch.equal(decoded.audio, middle)
    assert torch.equal(decoded.decoded, middle)
    assert torch.equal(decoded.latents, audio.unflatten(-1, (FRAME, -1)))
    assert torch.equal(decoded.decode(-2 * decoded.latents), -2 * middle)
    assert decoded.noise is None


def test_decodes_shorter_than_their_clips_are_refused():
    with pytest.raises(ValueError, match=r"320 samples decode to 319"):
        DecodedClips.of(Toy(margin=24, extra=-1), clips(), torch.arange(3))


def test_several_sets_of_latents():
    decoded = DecodedClips.of(Toy(noise=0.7), clips(), torch.arange(3))
    sets = decoded.decode_each(a * decoded.latents for a in (0.0, 1.0, 2.0))
    assert sets.shape == (3, 3, 320)
    assert torch.equal(sets[1], decoded.decoded)
    torch.testing.assert_close(sets[2] - sets[1], decoded.audio)


def test_all_decodes_of_a_clip_share_their_noise():
    decoded = DecodedClips.of(Toy(noise=0.7), clips(), torch.arange(3))
    noise = decoded.decode(torch.zeros_like(decoded.latents))
    assert noise.std().item() == pytest.approx(0.7, rel=0.1)
    torch.testing.assert_close(decoded.decoded - decoded.audio, noise)


def test_noise_is_of_the_clip_and_not_of_the_batch():
    audio = clips(3)
    together = DecodedClips.of(Toy(noise=0.7), audio, torch.tensor([4, 0, 9]))
    for row, index in enumerate([4, 0, 9]):
        alone = DecodedClips.of(Toy(noise=0.7), audio[row : row + 1], torch.tensor([index]))
        assert torch.equal(alone.decoded, together.decoded[row : row + 1])
    expected = Draws(NOISE_SEED, [4, 0, 9]).normal("noise", 3, FRAME, 20)
    assert torch.equal(together.noise, expected)


def test_the_noise_floor_has_another_noise():
    audio, index = clips(), torch.arange(3)
    first, again = (DecodedClips.of(Toy(noise=0.7), audio, index, repeat=repeat) for repeat in (0, 1))
    difference = first.decoded - again.decoded
    assert difference.std().item() == pytest.approx(0.7 * 2**0.5, rel=0.1)
    assert torch.equal(DecodedClips.of(Toy(noise=0.7), audio, index).decoded, first.decoded)
