"""Latents of two sounds, their multiples and sums, in the plane that shows most of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lincae.autoencoders.protocol import LatentAutoencoder
from lincae.report.neighbours import map_of
from lincae.report.results import write
from lincae.report.sounds import read_listed

GAINS = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0)

Weights = tuple[float, float]
"""How much of u and of v a sound a u + b v holds."""

LINES: dict[str, list[Weights]] = {
    "u": [(gain, 0.0) for gain in GAINS],
    "v": [(0.0, gain) for gain in GAINS],
    "u to sum": [(1.0, gain) for gain in GAINS if gain <= 1],
    "v to sum": [(gain, 1.0) for gain in GAINS if gain <= 1],
}
"""What is on a straight line if the encoder is linear: multiples of either sound, and the parallelogram's far sides."""

ROUNDING = 1e-5
"""Differences this small, relative to the latents, come from single precision."""

DIGITS = 6
"""Decimals of a coordinate."""


class Plane(NamedTuple):
    """Latents of sounds a u + b v projected onto a plane through the origin of the latent space.

    Coordinates are in lengths of Enc(u). The first axis goes along Enc(u), and Enc(v) lies above it.

    Attributes:
        encoded: Enc(a u + b v), (points, 2).
        arithmetic: a Enc(u) + b Enc(v), (points, 2).
        share: of all their squared lengths, how much the plane shows; 1 for a linear encoder.
        difference_share: the same of the differences between the two; None if they differ by rounding alone.
    """

    encoded: list[list[float]]
    arithmetic: list[list[float]]
    share: float
    difference_share: float | None


def plane_of(latents: Tensor, weights: Sequence[Weights]) -> Plane:
    """Principal components about the origin, of latents and of what arithmetic makes them.

    The mean is not taken out: multiples and sums are about the origin, which the plane therefore goes through. Inner
    products P G P' of the points, G those of the latents, hold all that is asked for, however long a latent is: their
    eigenvectors times the roots of the eigenvalues are the coordinates.

    Args:
        latents: Enc(a u + b v) of each pair of weights, (points, D, L), finite.
        weights: with (1, 0), and with (0, 1) if any b is not 0.
    """
    places = {pair: place for place, pair in enumerate(weights)}
    u, v = places[1.0, 0.0], places.get((0.0, 1.0))
    arithmetic = torch.zeros(len(weights), len(weights), dtype=torch.float64)
    arithmetic[:, u] += torch.tensor([a for a, _ in weights])
    if v is not None:
        arithmetic[:, v] += torch.tensor([b for _, b in weights])
    identity = torch.eye(len(weights), dtype=torch.float64)
    rows = latents.flatten(1).cpu().double()
    inner = rows @ rows.mT

    both = torch.cat([identity, arithmetic])
    squares, directions = torch.linalg.eigh(both @ inner @ both.mT)
    points = _upright(directions[:, -2:] * squares[-2:].clamp(min=0).sqrt(), u, v)
    encoded, wanted = points.split(len(weights))
    differences = float(((identity - arithmetic) @ inner @ (identity - arithmetic).mT).trace())
    differ = differences > ROUNDING**2 * float(inner.trace())
    total = float(squares.sum())
    length = float(inner[u, u].sqrt()) or 1.0
    return Plane(
        rounded(encoded / length),
        rounded(wanted / length),
        round(float(points.square().sum()) / total, DIGITS) if total > 0 else 1.0,
        round(float((encoded - wanted).square().sum()) / differences, DIGITS) if differ else None,
    )


def _upright(points: Tensor, u: int, v: int | None) -> Tensor:
    """Points (N, 2) turned such that point u lies to the right of the origin, and point v not below."""
    angle = torch.atan2(points[u, 1], points[u, 0])
    x, y = angle.cos(), angle.sin()
    turned = points @ torch.stack([torch.stack([x, -y]), torch.stack([y, x])])
    return turned * torch.tensor([1.0, -1.0]) if v is not None and turned[v, 1] < 0 else turned


def rounded(points: Tensor) -> list[list[float]]:
    """Coordinates for a file, without negative zeros."""
    return (points.double().round(decimals=DIGITS) + 0.0).tolist()


@torch.inference_mode()
def write_latents(
    folder: Path,
    excerpt: str,
    start: float,
    models: Mapping[str, LatentAutoencoder],
    sources: Mapping[str, Mapping[str, Tensor]],
    methods: Sequence[str] = (),
) -> None:
    """Writes where latents of one excerpt lie, under every model, as `latents.json`.

        {"excerpt": {"name": ..., "start": ...}, "u": SOURCE, "v": SOURCE or null, "weights": [[a, b], ...],
         "planes": {NAME: PLANE, ...}, "maps": {METHOD: {NAME: MAP, ...}, ...}}

    with the attributes of `Plane`, which has a point for each pair of weights, and of `lincae.report.neighbours.Map`. A
    model whose latents are not finite has null. What is there already about this excerpt stays: other models, maps.

    Args:
        folder: of the results.
        excerpt: name of the clip or track.
        start: of the excerpt, s.
        models: name -> what encodes.
        sources: for each model, name -> waveform (T,) at its sample rate. u and v are the two with the most
            energy, at the highest rate, or those of the models that are there already; a single one is u.
        methods: of maps, names in `lincae.report.neighbours.METHODS`.
    """
    best = max(models, key=lambda name: models[name].sample_rate)
    common = [source for source in sources[best] if all(source in sources[name] for name in models)]
    found = {"name": excerpt, "start": start}
    earlier = read_listed(folder / "latents.json", found)
    pair = [source for source in (earlier.get("u"), earlier.get("v")) if source is not None]
    if not pair or not {*pair} <= {*common}:
        earlier = {}
        pair = sorted(common, key=lambda source: float(sources[best][source].square().sum()), reverse=True)[:2]
    weights = [weight for line in LINES.values() for weight in line if len(pair) > 1 or weight[1] == 0]
    weights = list(dict.fromkeys(weights))
    planes: dict[str, Plane | None] = {}
    frames: dict[str, Tensor] = {}
    for name, model in models.items():
        waves = torch.stack([sources[name][source] for source in pair])
        latents = encode_each(model, torch.tensordot(torch.tensor(weights)[:, : len(pair)].to(waves), waves, dims=1))
        planes[name] = plane_of(latents, weights) if latents.isfinite().all() else None
        if methods:
            waves = torch.stack([sources[name][source] for source in common])
            sounds = torch.cat([waves, waves.sum(dim=0, keepdim=True)]) if len(common) > 1 else waves
            frames[name] = encode_each(model, sounds)
    maps: dict[str, Any] = earlier.get("maps", {})
    for method in methods:
        drawn = {
            name: map_of(method, common, latents)._asdict() if latents.isfinite().all() else None
            for name, latents in frames.items()
        }
        maps[method] = maps.get(method, {}) | drawn
    contents = {
        "excerpt": found,
        "u": pair[0],
        "v": pair[1] if len(pair) > 1 else None,
        "weights": weights,
        "planes": earlier.get("planes", {}) | {name: plane and plane._asdict() for name, plane in planes.items()},
        "maps": maps,
    }
    write(folder / "latents.json", json.dumps(contents, indent=1, allow_nan=False) + "\n")


def encode_each(model: LatentAutoencoder, waves: Tensor) -> Tensor:
    """Waveforms (N, T) -> latents (N, D, L), one at a time: an excerpt may be long."""
    return torch.cat([model.encode(wave[None]) for wave in waves])
