"""Sounds to listen to: what arithmetic on latents does to a track."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import soundfile
import torch
from torch import Tensor

from lincae.autoencoders.protocol import LatentAutoencoder
from lincae.evaluation import DecodedClips
from lincae.report.results import write

FULL_SCALE = 1 - 2**-15
"""Largest sample of a 16-bit file."""

WITHOUT_STEMS = ("original", "reconstruction", "decoded-half", "decoded-double")
"""Sounds that make sense of a clip without stems."""


@torch.inference_mode()
def latent_arithmetic(autoencoder: LatentAutoencoder, stems: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A track, its reconstruction, and decodes of arithmetic on its latents, all under one noise.

    Args:
        autoencoder: what encodes and decodes.
        stems: name -> waveform (T,), or (C, T) for models of several channels.

    Returns:
        Name -> waveform without margins, (T,) or (T, C): `original`, `reconstruction`, `decoded-sum` of the stems'
        latents, `decoded-half` and `decoded-double` from scaled latents, and for each stem `STEM` and
        `STEM-by-subtraction`.
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
        sounds[name] = clip.heard(wave[None])
        sounds[f"{name}-by-subtraction"] = clip.decode(z - autoencoder.encode(mix - wave))
    return {name: clip.playable(sound[0]) for name, sound in sounds.items()}


def write_sounds(sounds: Mapping[str, Tensor], sample_rate: int, folder: Path) -> None:
    """Write float waveforms (T,) or (T, C) as `folder/NAME.wav`; 32-bit float keeps those beyond full scale."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, sound in sounds.items():
        soundfile.write(folder / f"{name}.wav", sound.cpu().numpy(), sample_rate, subtype="FLOAT")


def write_excerpt_sounds(
    folder: Path,
    excerpt: str,
    start: float,
    models: Mapping[str, LatentAutoencoder],
    stems: Mapping[str, Mapping[str, Tensor]],
) -> None:
    """Writes what arithmetic on latents does to one excerpt, under every model: FLAC files and `sounds.json`.

    The list names each model's sounds, and the originals at the highest sample rate among the models:

        {"excerpt": {"name": ..., "start": ...}, "original": [SOUND, ...], "models": {NAME: [SOUND, ...], ...}}

    with SOUND = {"title": ..., "file": path below the folder, "gain": factor that makes it fit into full scale, at most
    1}. A sound that is not finite is left out. Other models that are listed already, with this excerpt, stay.

    Args:
        folder: of the results.
        excerpt: name of the clip or track.
        start: of the excerpt, s.
        models: name -> what encodes and decodes.
        stems: for each model, name -> waveform (T,) at its sample rate; a single one is a clip, which has no sum and
            nothing to subtract.
    """
    found = {"name": excerpt, "start": start}
    earlier = read_listed(folder / "sounds.json", found)
    originals: list[dict[str, Any]] = earlier.get("original", [])
    listed: dict[str, list[dict[str, Any]]] = earlier.get("models", {})
    others = listed.keys() - models.keys() and originals
    written = soundfile.info(folder / originals[0]["file"]).samplerate if others else 0
    best = max(models, key=lambda name: models[name].sample_rate)
    for name, model in models.items():
        sounds = latent_arithmetic(model, stems[name])
        if len(stems[name]) == 1:
            sounds = {kind: sounds[kind] for kind in WITHOUT_STEMS}
        true = {kind: sounds.pop(kind) for kind in ("original", *stems[name]) if kind in sounds}
        if name == best and model.sample_rate >= written:
            originals = write_flac(true, model.sample_rate, folder, "sounds/original")
        listed[name] = write_flac(sounds, model.sample_rate, folder, f"sounds/model-{quote(name, safe='')}")
    contents = {"excerpt": found, "original": originals, "models": listed}
    write(folder / "sounds.json", json.dumps(contents, indent=1) + "\n")


def read_listed(file: Path, excerpt: Mapping[str, Any]) -> dict[str, Any]:
    """What a JSON file holds about an excerpt; nothing if it is missing, damaged or about another one."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return found if found["excerpt"] == excerpt else {}


def write_flac(sounds: Mapping[str, Tensor], sample_rate: int, folder: Path, place: str) -> list[dict[str, Any]]:
    """Writes finite waveforms (T,) or (T, C) as `folder/place/NAME.flac`, 16 bits; title, file and gain of each."""
    (folder / place).mkdir(parents=True, exist_ok=True)
    written = []
    for name, sound in sounds.items():
        if not sound.isfinite().all():
            continue
        peak = float(sound.abs().max())
        gain = min(1.0, FULL_SCALE / peak) if peak else 1.0
        file = f"{place}/{quote(name, safe='')}.flac"
        soundfile.write(folder / file, gain * sound.cpu().numpy(), sample_rate, subtype="PCM_16")
        written.append({"title": name.replace("-", " "), "file": file, "gain": gain})
    return written
