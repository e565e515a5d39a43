"""Published weights become our autoencoder."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lincae.autoencoders.consistency import ConsistencyAutoencoder
from lincae.published.names import BIN_GAIN, published_names, published_tensors, unused_shapes
from lincae.published.releases import RELEASES, release_of
from lincae.published.settings import DEFAULTS, build, read_settings
from lincae.schedules import StepSchedule
from lincae.yaml_files import read_yaml

WEIGHTS = ("autoencoder_inference_model_last.pth", "autoencoder.pth", "music2latent.pt")
"""Files of weights: as published, as the authors' training writes them, and Music2Latent's."""

NETWORK = "gen_state_dict"
"""Where Music2Latent's file keeps the network."""

_scalar = np.float64(0).__reduce__()[0]  # what NumPy's numbers are pickled as
NUMPY_NUMBERS: list[Any] = [
    np.dtype,
    *(type(np.dtype(kind)) for kind in (np.float32, np.float64, np.int64)),
    *((_scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
]
"""Music2Latent's file holds some beside its tensors, of NumPy 1."""


class PublishedModel(NamedTuple):
    """What was read.

    Attributes:
        name: of the release in `RELEASES`, or of the folder.
        autoencoder: in evaluation mode, on the CPU, in float32. Its latents are not scaled.
        scale_factor: that the authors' package multiplies its latents by, or that stands beside the weights; None where
            it is not known.
    """

    name: str
    autoencoder: ConsistencyAutoencoder
    scale_factor: float | None


def read_published(path: str | Path) -> PublishedModel:
    """Reads published weights.

    Args:
        path: a folder in the layout of Lin-CAE (or one that holds a single such `..._weights`), Music2Latent's file, or
            the file of weights in such a folder, with its settings beside it.

    Raises:
        FileNotFoundError: if there are no weights, or one of their settings is missing.
        ValueError: if the files cannot be read as this network: file and what is wrong.
    """
    file = find_weights(path)
    if file is None:
        raise FileNotFoundError(f"{path} holds no published weights: expected one of {', '.join(WEIGHTS)} in it")
    stored = load_tensors(file)
    if NETWORK in stored:
        name: str | None = "music2latent"
        autoencoder = ConsistencyAutoencoder(step=StepSchedule(end=3.0))
        tensors = named_tensors(stored[NETWORK], file)
    else:
        name = release_of(file)
        autoencoder = _with_settings(file)
        tensors = without_frontend(stored, autoencoder, file)
    fill(autoencoder, tensors, file)
    scale_factor = scale_factor_beside(file) if name is None else RELEASES[name].scale_factor
    return PublishedModel(name or file.absolute().parent.name, autoencoder.eval(), scale_factor)


def find_weights(path: str | Path) -> Path | None:
    """The file of weights that a path means; None for a folder without one.

    Raises:
        ValueError: if it could be several.
    """
    path = Path(path)
    if not path.is_dir():
        return path
    found = [folder / name for folder in (path, *sorted(path.glob("*_weights"))) for name in WEIGHTS]
    found = [file for file in found if file.is_file()]
    if len(found) > 1:
        raise ValueError(f"{path} holds several: give one of {', '.join(map(str, found))}")
    return found[0] if found else None


def load_tensors(file: Path) -> dict[str, Any]:
    """The dictionary in a file of `torch.save`, read without executing code.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it cannot be read so.
    """
    try:
        with torch.serialization.safe_globals(NUMPY_NUMBERS):
            stored = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # a file that is no checkpoint can fail in any way
        code = re.search(r"GLOBAL (\S+)", str(error))
        if code:
            raise ValueError(f"{file} asks for {code[1]}: only tensors and numbers are read, no code") from error
        size = file.stat().st_size
        raise ValueError(f"{file} ({size} bytes) is truncated or no file of weights: download it anew") from error
    return named_tensors(stored, file)


def named_tensors(stored: Any, file: Path) -> dict[str, Any]:
    """What was stored, if it is something by name."""
    if not isinstance(stored, dict) or not all(isinstance(name, str) for name in stored):
        raise ValueError(f"{file} holds no tensors by name, but a {type(stored).__name__}")
    return stored


def _with_settings(file: Path) -> ConsistencyAutoencoder:
    """An autoencoder as the settings beside a file of weights say."""
    description = read_settings({section: beside(file, section) for section in DEFAULTS})
    try:
        return build(description)
    except (ValueError, RuntimeError, ZeroDivisionError) as error:
        raise ValueError(f"the settings beside {file} fit no network: {error}") from error


def beside(file: Path, section: str) -> Path:
    """The file of a section of the settings that belongs to a file of weights."""
    suffix = file.stem.removeprefix("autoencoder").removeprefix("_inference_model")
    return file.with_name(f"{section}_kwargs{suffix}.yaml")


def scale_factor_beside(file: Path) -> float | None:
    """The scale factor that was written with weights; None if none was.

    Raises:
        ValueError: if what was written is none.
    """
    path = beside(file, "autoencoder")
    if not path.is_file():
        return None
    try:
        factor = float(read_yaml(path)["scale_factor"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} holds no scale factor: {error!r}. Write `scale_factor: S` in it") from error
    if not math.isfinite(factor) or factor == 0:
        raise ValueError(f"{path} holds a scale factor of {factor}: write a number other than 0 in it")
    return factor


def without_frontend(stored: Mapping[str, Any], autoencoder: ConsistencyAutoencoder, file: Path) -> dict[str, Any]:
    """The network's tensors of a state dict that has the STFT's window beside them.

    Raises:
        ValueError: if the window is not ours, or there is something else.
    """
    key, prefix = "frontend.window", "generator."
    ours = autoencoder.spectrogram.window_values
    window: Any = stored.get(key)
    if fault(window, tuple(ours.shape)) or not torch.allclose(window.float(), ours, atol=1e-3):
        raise ValueError(f"{file}: {key} is not a periodic Hann window of {len(ours)} samples")
    _refuse("has the unknown", {name for name in stored if name != key and not name.startswith(prefix)}, file)
    return {name.removeprefix(prefix): value for name, value in stored.items() if name != key}


def fill(autoencoder: ConsistencyAutoencoder, tensors: Mapping[str, Any], file: Path) -> None:
    """Copies published tensors into an autoencoder, and leaves out those that have no effect.

    Raises:
        ValueError: if tensors are missing, unknown, or not as they must be: which.
    """
    ours, sizes = autoencoder.state_dict(), autoencoder.sizes
    expected = {name: tuple(tensor.shape) for name, tensor in published_tensors(ours, sizes).items()}
    unused = unused_shapes(sizes)
    _refuse("lacks", expected.keys() - tensors.keys(), file)
    _refuse("has the unknown", tensors.keys() - expected.keys() - unused.keys(), file)
    wrong = {name: fault(tensors[name], shape) for name, shape in {**unused, **expected}.items() if name in tensors}
    _refuse("has", {f"{name} {what}" for name, what in wrong.items() if what}, file)
    names = published_names(ours, sizes)
    theirs = {**tensors, BIN_GAIN: tensors[BIN_GAIN][0, 0]}
    autoencoder.load_state_dict({name: theirs[names[name]] for name in ours})


def fault(value: Any, shape: tuple[int, ...]) -> str | None:
    """What is wrong with a tensor of this shape; None if nothing is."""
    if not isinstance(value, Tensor):
        return f"that is a {type(value).__name__}"
    if value.shape != shape:
        return f"of shape {tuple(value.shape)} instead of {shape}"
    if not value.is_floating_point():
        return f"of type {value.dtype}"
    return None if value.isfinite().all() else "that is not finite"


def _refuse(what: str, names: set[str], file: Path) -> None:
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        raise ValueError(f"{file} {what} {', '.join(sorted(names)[:3])}{more}")
