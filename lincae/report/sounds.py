"""Sounds to listen to: what arithmetic on latents does to a track."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import soundfile
import torch
from torch import Tensor

from lincae.autoencoders.protocol import LatentAutoencoder
from lincae.evaluation import DecodedClips, trim


@torch.inference_mode()
def latent_arithmetic(autoencoder: LatentAutoencoder, stems: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A track, its reconstruction, and decodes of arithmetic on its latents, all under one noise.

    Args:
        autoencoder: what encodes and decodes.
        stems: name -> waveform (T,).

    Returns:
        Name -> waveform without margins: `original`, `reconstruction`, `decoded-sum` of the stems' latents,
        `decoded-half` and `decoded-double` from scaled latents, and for each stem `STEM` and `STEM-by-subtraction`.
    """
    waves = torch.stack(list(stems.values()))
    mix = waves.sum(dim=0, keepdim=True)
    clip = DecodedClips.of(autoencoder, mix, torch.zeros(1, dtype=torch.long))
    z = clip.latents
    sounds = {
        "original": clip.audio,
        "reconstruction": clip.decoded,
        "decoded-sum": clip.decode(autoencoder.encode(waves).sum(dim=0, keepdim=True)),
        "decoded-half": clip.decode(0.5 * z),
        "decoded-double": clip.decode(2 * z),
    }
    for name, wave in stems.items():
        sounds[name] = trim(wave[None], autoencoder.margin)
        sounds[f"{name}-by-subtraction"] = clip.decode(z - autoencoder.encode(mix - wave))
    return {name: sound[0] for name, sound in sounds.items()}


def write_sounds(sounds: Mapping[str, Tensor], sample_rate: int, folder: Path) -> None:
    """Write float waveforms (T,) as `folder/NAME.wav`; those beyond full scale keep their level in 32-bit float."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, sound in sounds.items():
        soundfile.write(folder / f"{name}.wav", sound.cpu().numpy(), sample_rate, subtype="FLOAT")
