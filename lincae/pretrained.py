"""Which autoencoder a source names, and what its latents are multiplied by."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from httpx2 import HTTPError
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.constants import HF_HUB_ETAG_TIMEOUT
from huggingface_hub.errors import RepositoryNotFoundError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from lincae.autoencoders.oobleck import CLASS_NAME, OobleckAutoencoder
from lincae.checkpoint import load_scaled
from lincae.checkpoint_files import FOLDER, LAST, last_of
from lincae.provenance import version_of
from lincae.published import RELEASES, find_weights, read_published
from lincae.published.reading import WEIGHTS as PUBLISHED_WEIGHTS
from lincae.settings import CLASS_PATH, build, settings_of, trust

CONFIG, WEIGHTS = "config.json", "model.safetensors"

SOURCES = (
    f"a folder with {CONFIG}, a run's folder (with {FOLDER}/{LAST}), a .ckpt, or published weights "
    f"({', '.join(PUBLISHED_WEIGHTS)})"
)
FILES = {".ckpt", ".json", ".pt", ".pth", ".safetensors"}
"""Endings of files, which no class has."""


class Pretrained(NamedTuple):
    """A trained autoencoder.

    Attributes:
        autoencoder: a `lincae.autoencoders.protocol.LatentAutoencoder`, in evaluation mode on the CPU.
        scale_factor: what its latents are multiplied by for a standard deviation of about 1; 1 for what was neither
            trained nor saved here, None where there should be one and is not.
    """

    autoencoder: Any
    scale_factor: float | None = 1.0


def load_pretrained(source: str | Path) -> Pretrained:
    """The autoencoder that a source names.

    Args:
        source: of the following, the first that there is:
            a folder that `lincae.Autoencoder.save_pretrained` wrote, or diffusers of its `AutoencoderOobleck`, the
            folder of a run, or one in the layout of the published Lin-CAE; a training checkpoint (`.ckpt`), of which,
            as of a run, the averaged weights are taken; Music2Latent's file (`.pt`); a name in
            `lincae.published.RELEASES`; a repository OWNER/NAME on the Hugging Face Hub that holds such a folder; the
            path of a class or function that makes the autoencoder without arguments. What was downloaded once is not
            downloaded again.

    Raises:
        ValueError: if the source names nothing that can be read: what can.
        FileNotFoundError: if there is no such file or repository, or no network: what to do.
    """
    path, name = Path(source).expanduser(), str(source)
    if path.exists():
        return from_path(path)
    released = [known for known, release in RELEASES.items() if name in (known, release.repository)]
    if len(released) > 1:
        raise ValueError(f"the repository {name} holds several models: give one of {', '.join(released)}")
    if released:
        release = RELEASES[released[0]]
        folder = downloaded(name, release.repository, [release.files])
        return from_path(folder / release.weights)
    if re.fullmatch(r"[\w.-]+/[\w.-]+", name) and not path.suffix:
        return from_path(downloaded(name, name, [CONFIG, WEIGHTS, *PUBLISHED_WEIGHTS, "*_kwargs*.yaml"]))
    if names_class(name):
        return Pretrained(module_from_class(name))
    raise FileNotFoundError(
        f"{name!r} is no file or folder here and names no model: give {SOURCES}, one of {', '.join(RELEASES)}, a "
        "repository OWNER/NAME on the Hugging Face Hub, or a class path"
    )


def names_class(source: str) -> bool:
    """Whether a source is the path of a class or function, and no file or folder that is there."""
    path = Path(source).expanduser()
    return bool(CLASS_PATH.fullmatch(source)) and path.suffix not in FILES and not path.exists()


def from_class(path: str) -> Any:
    """What the class or function at a path makes, such as `my_models.Codec`; files may name its classes from then on.

    Raises:
        ValueError: if there is none, or it wants arguments: what is wrong.
    """
    module, _, name = path.rpartition(".")
    try:
        made = getattr(importlib.import_module(module), name)()
    except (ImportError, AttributeError, TypeError) as error:
        raise ValueError(f"{path!r} names no model: {error}") from error
    parts = made.modules() if isinstance(made, nn.Module) else ()
    trust([module, *(type(part).__module__ for part in parts)])
    return made


def module_from_class(path: str) -> nn.Module:
    """The same in evaluation mode.

    Raises:
        ValueError: if it is no module.
    """
    made = from_class(path)
    if not isinstance(made, nn.Module):
        raise ValueError(f"{path!r} names no model: it makes a {type(made).__name__}, which is no torch module")
    return made.eval()


def from_path(path: Path) -> Pretrained:
    """The autoencoder in a file or folder.

    Raises:
        ValueError: if there is none in it.
    """
    if (path / CONFIG).is_file():
        return read_saved(path)
    if path.suffix == ".ckpt" and not path.is_dir():
        return Pretrained(*load_scaled(path))
    if last := last_of(path):
        return Pretrained(*load_scaled(last))
    weights = find_weights(path)
    if weights is None or weights.suffix not in {Path(name).suffix for name in PUBLISHED_WEIGHTS}:
        raise ValueError(f"{path} holds no model: give {SOURCES}")
    published = read_published(weights)
    return Pretrained(published.autoencoder, published.scale_factor)


def downloaded(name: str, repository: str, patterns: list[str]) -> Path:
    """The local copy of a repository on the Hugging Face Hub, downloaded where it is not there yet.

    Args:
        name: by which it was asked for.
        repository: OWNER/NAME.
        patterns: of the files that are needed.

    Raises:
        FileNotFoundError: if there is no such repository, or it cannot be reached: what to do.
    """
    unreachable = None
    try:
        HfApi().model_info(repository, timeout=HF_HUB_ETAG_TIMEOUT)  # snapshot_download itself would wait forever
    except RepositoryNotFoundError as error:
        raise FileNotFoundError(
            f"{name!r} is no file or folder here, and there is no repository {repository} on the Hugging Face Hub that "
            "you may read. Cure: check the name; log in with `hf auth login` if it is private or has to be applied for"
        ) from error
    except (OSError, HTTPError) as error:
        unreachable = error
    try:
        return Path(snapshot_download(repository, allow_patterns=patterns, local_files_only=unreachable is not None))
    except (OSError, HTTPError) as error:
        reason = unreachable or error
        wanted = " ".join(f"--include '{pattern}'" for pattern in patterns)
        raise FileNotFoundError(
            f"{name!r} is no file or folder here, has not been downloaded yet, and cannot be: {repository} on the "
            f"Hugging Face Hub gives {type(reason).__name__} ({reason}). Cure: with a network, ask again, without "
            f"HF_HUB_OFFLINE; without one, run `hf download {repository} {wanted} --local-dir FOLDER` elsewhere, copy "
            "the folder, and give it instead"
        ) from error


def read_saved(folder: Path) -> Pretrained:
    """What `write_saved` wrote, or diffusers its `AutoencoderOobleck`.

    Raises:
        FileNotFoundError: if the weights are missing.
        ValueError: if configuration or weights cannot be read, or do not fit one another.
    """
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        if config.get("_class_name") == CLASS_NAME:
            return Pretrained(OobleckAutoencoder.from_folder(folder))
        autoencoder, scale_factor = build(config["autoencoder"]), float(config["scale_factor"])
    except ValueError as error:
        raise ValueError(f"{folder / CONFIG} is no configuration of an autoencoder: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{folder / CONFIG} is no configuration of an autoencoder: {error!r}") from error
    try:
        autoencoder.load_state_dict(load_file(folder / WEIGHTS))
    except (SafetensorError, RuntimeError) as error:
        raise ValueError(f"{folder / WEIGHTS} does not hold the weights of {folder / CONFIG}: {error}") from error
    return Pretrained(autoencoder.eval(), scale_factor)


def write_saved(folder: Path, autoencoder: nn.Module, scale_factor: float) -> None:
    """Writes configuration and weights into a folder that is there."""
    config = {"lincae": version_of("lincae"), "autoencoder": settings_of(autoencoder), "scale_factor": scale_factor}
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    tensors = {name: tensor.contiguous() for name, tensor in autoencoder.state_dict().items()}
    (folder / WEIGHTS).write_bytes(save(tensors, metadata={"format": "pt"}))  # save_file hides it from other users
