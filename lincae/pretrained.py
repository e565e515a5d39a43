"""Which autoencoder a source names, and what its latents are multiplied by."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from lincae.checkpoint import checkpoint_of, load_autoencoder
from lincae.settings import build, settings_of

CONFIG, WEIGHTS = "config.json", "model.safetensors"


class Pretrained(NamedTuple):
    """A trained autoencoder.

    Attributes:
        autoencoder: a `lincae.autoencoders.protocol.LatentAutoencoder`, in evaluation mode on the CPU.
        scale_factor: what its latents are multiplied by for a standard deviation of about 1; 1 where none is known.
    """

    autoencoder: Any
    scale_factor: float = 1.0


def load_pretrained(source: str | Path) -> Pretrained:
    """The autoencoder that a source names.

    Args:
        source: a folder that `lincae.Autoencoder.save_pretrained` wrote, a training checkpoint (`.ckpt`) or a run's
            folder; of these the averaged weights.

    Raises:
        ValueError: if the source names nothing that can be read: what can.
        FileNotFoundError: if there is no such file.
    """
    path = Path(source)
    if path.is_dir():
        return read_saved(path) if (path / CONFIG).is_file() else Pretrained(load_autoencoder(checkpoint_of(path)))
    if path.suffix == ".ckpt":
        return Pretrained(load_autoencoder(path))
    raise ValueError(
        f"{str(source)!r} names no model: give a .ckpt, a run's folder, or one with {CONFIG} and {WEIGHTS}"
    )


def read_saved(folder: Path) -> Pretrained:
    """What `write_saved` wrote.

    Raises:
        FileNotFoundError: if the weights are missing.
        ValueError: if configuration or weights cannot be read, or do not fit one another.
    """
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        autoencoder, scale_factor = build(config["autoencoder"]), float(config["scale_factor"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder / CONFIG} is no configuration of an autoencoder: {error!r}") from error
    try:
        autoencoder.load_state_dict(load_file(folder / WEIGHTS))
    except (SafetensorError, RuntimeError) as error:
        raise ValueError(f"{folder / WEIGHTS} does not hold the weights of {folder / CONFIG}: {error}") from error
    return Pretrained(autoencoder.eval(), scale_factor)


def write_saved(folder: Path, autoencoder: nn.Module, scale_factor: float) -> None:
    """Writes configuration and weights into a folder that is there."""
    config = {"lincae": version("lincae"), "autoencoder": settings_of(autoencoder), "scale_factor": scale_factor}
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    tensors = {name: tensor.contiguous() for name, tensor in autoencoder.state_dict().items()}
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
