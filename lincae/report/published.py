"""Published figures to stand beside those measured here; never to be averaged or ranked with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

SOURCE = "arXiv 2510.23530"

STEMS = ("bass", "drums", "other", "vocals")


class Published(NamedTuple):
    """What a paper reports of one model.

    Attributes:
        name: as printed.
        clips: figures on MusicCaps, by the names used here; `kad` is in the space of an embedding that is not named.
        stems: figures on MUSDB18-HQ.
    """

    name: str
    clips: Mapping[str, float]
    stems: Mapping[str, float]


def model(
    name: str,
    stems: tuple[float, ...],
    stems_mss: float,
    clips: tuple[float, ...] = (),
    additivity: tuple[float, ...] = (),
) -> Published:
    """One row of the tables.

    Args:
        name: of the model.
        stems: separation MSS of each of `STEMS`.
        stems_mss: reconstruction MSS printed beside them.
        clips: reconstruction MSS, SNR and KAD, decoder homogeneity MSS and encoder homogeneity error.
        additivity: decoder MSS and SNR, encoder error.
    """
    on_clips = (
        "reconstruction/mss",
        "reconstruction/snr",
        "kad",
        "decoder/homogeneity_mss",
        "encoder/homogeneity_error",
    )
    on_stems = ("decoder/additivity_mss", "decoder/additivity_snr", "encoder/additivity_error")
    return Published(
        name,
        dict(zip(on_clips, clips, strict=bool(clips))),
        {"reconstruction/mss": stems_mss}
        | dict(zip(on_stems, additivity, strict=bool(additivity)))
        | {f"separation/{stem}_mss": mss for stem, mss in zip(STEMS, stems, strict=True)},
    )


PUBLISHED = (
    model(
        "Music2Latent (public)",
        (95.34, 28.08, 6.78, 5.10),
        1.16,
        (1.14, 1.85, 5.69, 2.52, 12.13),
        (5.01, -0.79, 2.82),
    ),
    model("Stable Audio VAE", (323.26, 87.80, 3.65, 3.08), 0.57, (0.72, 7.32, 6.27, 3.03, 4.59), (5.38, -12.58, 1.71)),
    model(
        "Music2Latent (retrained)",
        (39.56, 12.26, 5.30, 3.49),
        0.97,
        (0.98, 3.09, 6.53, 2.27, 8.52),
        (5.21, -0.48, 2.73),
    ),
    model("Lin-CAE", (1.58, 1.16, 1.21, 1.23), 1.00, (1.01, 3.19, 6.19, 1.37, 0.69), (0.99, 1.22, 0.60)),
    model("without additivity", (6.61, 2.37, 3.44, 2.87), 1.39),
    model("without homogeneity", (23.61, 7.84, 2.98, 3.08), 0.96),
)
"""The tables of the paper: models as printed, the two ablations last."""
