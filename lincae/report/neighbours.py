"""Maps of latent frames that keep neighbours together, t-SNE and UMAP: which sounds are alike to a model?

Unlike a plane, such a map keeps neither lines nor distances between groups.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

FRAMES = 128
"""Most frames of a sound in a map; the paper's models make 108 in 10 s."""

LEAST = 4
"""Frames that make a map."""

PERPLEXITY, NEIGHBOURS = 30, 15
"""How many neighbours t-SNE and UMAP look at, as their implementations suggest; fewer where there are few frames."""

SEED = 0

DIGITS = 4
"""Decimals of a coordinate."""


class Method(NamedTuple):
    """How a map is made.

    Attributes:
        title: its name.
        module: that must be there.
        package: that brings it.
        place: points (N, D), float32 -> (N, 2).
    """

    title: str
    module: str
    package: str
    place: Callable[[np.ndarray], np.ndarray]


class Map(NamedTuple):
    """Frames of sounds in two dimensions, (frames, 2) each.

    Attributes:
        sources: name -> its frames.
        mix: those of the sum of the sources; none of a single source.
    """

    sources: dict[str, list[list[float]]]
    mix: list[list[float]]


def tsne(points: np.ndarray) -> np.ndarray:
    """t-SNE (van der Maaten and Hinton, 2008), the same every time: on one thread, since sums over several vary."""
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    init = "pca" if points.shape[1] > 1 else "random"
    with threadpool_limits(limits=1):
        perplexity = min(PERPLEXITY, (len(points) - 1) / 3)
        return TSNE(perplexity=perplexity, init=init, random_state=SEED).fit_transform(points)


def umap(points: np.ndarray) -> np.ndarray:
    """UMAP (McInnes, Healy and Melville, 2018), the same every time."""
    from umap import UMAP

    return UMAP(n_neighbors=min(NEIGHBOURS, len(points) - 1), random_state=SEED, n_jobs=1).fit_transform(points)


METHODS = {
    "tsne": Method("t-SNE", "sklearn", "scikit-learn", tsne),
    "umap": Method("UMAP", "umap", "umap-learn", umap),
}


def require(methods: Sequence[str]) -> None:
    """Fails early if a package is missing.

    Args:
        methods: names in `METHODS`.

    Raises:
        ModuleNotFoundError: which one, and how to install it.
    """
    for method in (METHODS[name] for name in methods):
        if find_spec(method.module) is None:
            raise ModuleNotFoundError(f"{method.title} needs {method.package}: pip install {method.package}")


def map_of(method: str, sources: Sequence[str], latents: Tensor) -> Map:
    """Places the frames of sources and of their mix on one map.

    Args:
        method: a name in `METHODS`.
        sources: names of the sources.
        latents: of each source, and of the mix unless there is one source only, (sounds, D, L); finite.

    Returns:
        The map, of at most `FRAMES` frames of each sound, at equal distances.

    Raises:
        ValueError: if there are too few frames.
    """
    length = latents.shape[-1]
    chosen = torch.linspace(0, length - 1, min(length, FRAMES)).round().long()
    frames = rearrange(latents.cpu().float()[..., chosen], "sounds d l -> (sounds l) d").numpy()
    if len(frames) < LEAST:
        raise ValueError(f"{METHODS[method].title} needs {LEAST} latent frames or more: evaluate more --seconds")
    places = METHODS[method].place(frames).astype(float).round(DIGITS)
    points = rearrange(places, "(sounds l) xy -> sounds l xy", l=len(chosen)).tolist()
    return Map(dict(zip(sources, points, strict=False)), *(points[len(sources) :] or [[]]))
