"""What has been published, and where."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import NamedTuple

from huggingface_hub import try_to_load_from_cache

LINCAE = "BernardoTorres/linear_consistency_autoencoders"


class Release(NamedTuple):
    """Weights in a repository on Hugging Face.

    Attributes:
        repository: its name.
        weights: the file in it that holds the tensors.
        scale_factor: that the authors' package multiplies latents by, so that their deviation is about 1.
    """

    repository: str
    weights: str
    scale_factor: float

    @property
    def files(self) -> str:
        """A pattern of what belongs to this release: the file of weights, or the folder that it is in."""
        folder = PurePosixPath(self.weights).parent
        return self.weights if folder == PurePosixPath() else f"{folder}/*"

    def downloaded(self) -> Path | None:
        """The weights in the cache of downloads from Hugging Face; None if they are not there."""
        found = try_to_load_from_cache(self.repository, self.weights)
        return Path(found) if isinstance(found, str) else None


def lincae_release(code: str, scale_factor: float) -> Release:
    """A release of Lin-CAE's authors, whose folders begin with a code."""
    return Release(LINCAE, f"{code}_weights/autoencoder_inference_model_last.pth", scale_factor)


RELEASES = {
    "lin-cae": lincae_release("0a3afbec", 33.0),
    "lin-cae-2": lincae_release("2f4c6d21", 40.0),
    "m2l": lincae_release("1511f18a", 15.0),
    "music2latent": Release("SonyCSLParis/music2latent", "music2latent.pt", 1 / 0.06),
}
"""By the authors' names. Scale factors: the defaults of linear-cae 0.1.4; one over Music2Latent's `sigma_rescale`."""


def release_of(weights: Path) -> str | None:
    """The name of Lin-CAE's release that a file belongs to, by the name of its folder."""
    folder = weights.absolute().parent.name
    return next((name for name, release in RELEASES.items() if release.weights.startswith(f"{folder}/")), None)
