"""Published figures to stand beside those measured here; never to be averaged or ranked with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class PublishedTable(NamedTuple):
    """What a paper reports, as printed.

    Attributes:
        source: what to cite.
        about: on which data and how it was measured, in sentences.
        figures: by protocol (`clips`, `stems`), then model, then the names used here. `kad` is in the space of an
            embedding that is not named.
        remarks: figures that are not quite what has that name here, and what they are.
    """

    source: str
    about: str
    figures: Mapping[str, Mapping[str, Mapping[str, str]]]
    remarks: Mapping[str, str] = {}


def printed(names: Sequence[str], rows: str) -> dict[str, dict[str, str]]:
    """A table as text: model -> figure -> value.

    Args:
        names: of the figures in the columns.
        rows: `model | value | value ...` on each line, `-` where there is no value.

    Raises:
        ValueError: if a row has more or fewer values than there are names.
    """
    cells = [[cell.strip() for cell in row.split("|")] for row in rows.strip().splitlines()]
    return {
        model: {name: value for name, value in zip(names, values, strict=True) if value != "-"}
        for model, *values in cells
    }


LIN_CAE = PublishedTable(
    "arXiv 2510.23530",
    "Clips are MusicCaps, stems MUSDB18-HQ. The protocol was another: noise was drawn anew for each decode, and gains, "
    "settings of MSS and additivity's target could not be established.",
    {
        "clips": printed(
            (
                "reconstruction/mss",
                "reconstruction/snr",
                "kad",
                "decoder/homogeneity_mss",
                "encoder/homogeneity_error",
            ),
            """
            Music2Latent (public)    | 1.14 | 1.85 | 5.69 | 2.52 | 12.13
            Stable Audio VAE         | 0.72 | 7.32 | 6.27 | 3.03 | 4.59
            Music2Latent (retrained) | 0.98 | 3.09 | 6.53 | 2.27 | 8.52
            Lin-CAE                  | 1.01 | 3.19 | 6.19 | 1.37 | 0.69
            """,
        ),
        "stems": printed(
            (
                "reconstruction/mss",
                "decoder/additivity_mss",
                "decoder/additivity_snr",
                "encoder/additivity_error",
                "separation/bass_mss",
                "separation/drums_mss",
                "separation/other_mss",
                "separation/vocals_mss",
            ),
            """
            Music2Latent (public)    | 1.16 | 5.01 | -0.79  | 2.82 | 95.34  | 28.08 | 6.78 | 5.10
            Stable Audio VAE         | 0.57 | 5.38 | -12.58 | 1.71 | 323.26 | 87.80 | 3.65 | 3.08
            Music2Latent (retrained) | 0.97 | 5.21 | -0.48  | 2.73 | 39.56  | 12.26 | 5.30 | 3.49
            Lin-CAE                  | 1.00 | 0.99 | 1.22   | 0.60 | 1.58   | 1.16  | 1.21 | 1.23
            without additivity       | 1.39 | -    | -      | -    | 6.61   | 2.37  | 3.44 | 2.87
            without homogeneity      | 0.96 | -    | -      | -    | 23.61  | 7.84  | 2.98 | 3.08
            """,
        ),
    },
)

DECODE_MIXING = PublishedTable(
    "Akhanov, An Explicit Decode-Mixing Loss (github.com/nurdauletakhanov/musicgen)",
    "Clips are one second each of FMA, MAESTRO and MUSDB18, stems MUSDB18. SI-SDR is of waveforms without their mean. "
    "The mix rate is a ratio of their training loss, a sum of spectral, mel and waveform terms: what compares with "
    "ours is the order of models at most.",
    {
        "clips": printed(
            ("reconstruction/si_sdr", "mixing/truth_si_sdr", "mixing/mix_rate"),
            """
            waveform GAN, 7.66x                   | +11.3 | +8.0  | 1.203
            + decode-mixing loss, 7.66x           | +11.4 | +10.2 | 0.972
            waveform GAN, 15.3x                   | +10.0 | +6.8  | 1.187
            + decode-mixing loss, 15.3x           | +9.9  | +8.6  | 1.046
            Music2Latent (as published)           | -3.3  | -9.6  | 1.101
            Music2Latent (fine-tuned, no mixing)  | -3.1  | -9.5  | 1.125
            Music2Latent (fine-tuned with mixing) | -2.6  | -7.8  | 1.086
            """,
        ),
        "stems": printed(
            ("mixing/truth_si_sdr", "removal/si_sdr", "removal/tax"),
            """
            waveform GAN, 7.66x                   | +6.2 | +3.4  | 5.2
            + decode-mixing loss, 7.66x           | +8.2 | +5.7  | 3.0
            waveform GAN, 15.3x                   | +5.5 | +1.2  | 6.6
            + decode-mixing loss, 15.3x           | +6.7 | +5.2  | 2.5
            Music2Latent (fine-tuned with mixing) | -    | -11.2 | 8.4
            """,
        ),
    },
    {"mixing/mix_rate": "of their training loss, not of MSS"},
)

MUSIC2LATENT = PublishedTable(
    "arXiv 2408.06500",
    "Music2Latent beside other autoencoders with continuous latents.",
    {
        "clips": printed(
            ("reconstruction/si_sdr",),
            """
            Music2Latent (first paper) | -3.85
            others (first paper)       | -27.32 to -17.47
            """,
        )
    },
)

PUBLISHED = (LIN_CAE, DECODE_MIXING, MUSIC2LATENT)
