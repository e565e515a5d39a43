"""Audio autoencoders with an approximately linear latent space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lincae.inference import Autoencoder

__all__ = ["Autoencoder"]


def __getattr__(name: str) -> Any:
    """`Autoencoder` is imported when it is asked for, so that `import lincae` loads nothing else."""
    if name != "Autoencoder":
        raise AttributeError(f"module 'lincae' has no attribute {name!r}")
    from lincae.inference import Autoencoder

    return Autoencoder
