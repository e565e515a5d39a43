"""Our autoencoder becomes weights that the authors' classes load."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import torch
import yaml

from lincae.autoencoders.consistency import ConsistencyAutoencoder
from lincae.published.names import published_tensors, unused_shapes
from lincae.published.settings import published_settings


def write_published(autoencoder: ConsistencyAutoencoder, folder: str | Path, scale_factor: float | None = None) -> None:
    """Writes an autoencoder in the published layout of Lin-CAE, as a whole or not at all.

    `linear_cae.Autoencoder(frontend, generator, diffusion, scale_factor=...)`, made from the three files of settings,
    loads the tensors strictly. Those that it has and never uses are written as zeros. The layout has no place for a
    scale factor: it goes into a file of its own, `autoencoder_kwargs_last.yaml`, which `read_published` reads.

    Args:
        autoencoder: whose weights are written, in float32.
        folder: new or empty.
        scale_factor: that latents are to be multiplied by; None if it is not known.

    Raises:
        FileExistsError: if there is something at `folder`.
        ValueError: if the published classes cannot express the autoencoder: what.
    """
    folder = Path(folder)
    settings = published_settings(autoencoder)
    if scale_factor is not None:
        settings["autoencoder"] = {"scale_factor": float(scale_factor)}
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise FileExistsError(f"{folder} is already there and nothing is overwritten: give another folder")
    ours = {name: tensor.detach().cpu().float() for name, tensor in autoencoder.state_dict().items()}
    tensors = published_tensors(ours, autoencoder.sizes)
    tensors |= {name: torch.zeros(shape) for name, shape in unused_shapes(autoencoder.sizes).items()}
    stored = {f"generator.{name}": tensor for name, tensor in tensors.items()}
    stored["frontend.window"] = autoencoder.spectrogram.window_values.cpu()

    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        with (partial / "autoencoder_inference_model_last.pth").open("wb") as file:
            torch.save(stored, file)
            file.flush()
            os.fsync(file.fileno())
        for section, values in settings.items():
            text = yaml.safe_dump(dict(values), sort_keys=False)
            (partial / f"{section}_kwargs_last.yaml").write_text(text, encoding="utf-8")
        os.replace(partial, folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
