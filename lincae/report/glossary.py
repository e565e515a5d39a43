"""What figures are called where people read them, which way is better, and what to hold them against."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

LOWER, HIGHER, NEITHER = "↓", "↑", ""

SUFFIXES = {
    "": "as it is",
    "_centered": "relative to the latent of silence",
    "_dcentered": "relative to the decode of zero",
}

FIGURES = {
    "reconstruction/mss": ("reconstruction, MSS", LOWER),
    "reconstruction/snr": ("reconstruction, SNR, dB", HIGHER),
    "reconstruction/si_sdr": ("reconstruction, SI-SDR, dB", HIGHER),
    "shuffled/mss": ("decoded from another excerpt's latents, MSS", NEITHER),
    "shuffled/snr": ("decoded from another excerpt's latents, SNR, dB", NEITHER),
    "floor/mss": ("noise floor, MSS", NEITHER),
    "floor/snr": ("noise floor, SNR, dB", NEITHER),
    "stft/mss": ("STFT alone, MSS", NEITHER),
    "stft/snr": ("STFT alone, SNR, dB", NEITHER),
    "decoder/homogeneity_mss": ("decoder homogeneity, MSS", LOWER),
    "decoder/homogeneity_snr": ("decoder homogeneity, SNR, dB", HIGHER),
    "encoder/homogeneity_error": ("encoder homogeneity, relative error", LOWER),
    "decoder/additivity_mss": ("decoder additivity against the mix, MSS", LOWER),
    "decoder/additivity_snr": ("decoder additivity against the mix, SNR, dB", HIGHER),
    "decoder/additivity_self_mss": ("decoder additivity against the mix's own decode, MSS", LOWER),
    "decoder/additivity_self_snr": ("decoder additivity against the mix's own decode, SNR, dB", HIGHER),
    "decoder/additivity_sum_mss": ("decoder additivity against the sum of the stems' decodes, MSS", LOWER),
    "decoder/additivity_sum_snr": ("decoder additivity against the sum of the stems' decodes, SNR, dB", HIGHER),
    "encoder/additivity_error": ("encoder additivity, relative error", LOWER),
    "mixing/truth_si_sdr": ("mixed latents against the mix, SI-SDR, dB", HIGHER),
    "mixing/mix_rate": ("mix rate", LOWER),
    "removal/si_sdr": ("a stem removed, SI-SDR, dB", HIGHER),
    "removal/tax": ("linearity tax, dB", LOWER),
}
STEM_FIGURES = {
    "mss": ("MSS", LOWER),
    "si_sdr": ("SI-SDR, dB", HIGHER),
    "mss_all": ("MSS, silent ones included", LOWER),
    "leakage_dbfs": ("leakage where it is silent, dBFS", LOWER),
    "inactive": ("excerpts in which it is silent", NEITHER),
}

POINT = re.compile(r"(?P<figure>.+)/(?P<symbol>[ark])(?P<value>-?\d+(?:\.\d\d)?)")
SYMBOLS = {"a": "gain", "r": "mix ratio", "k": "stems:"}

SEPARATION = re.compile(rf"separation(?P<sum>_sum)?/(?:(?P<stem>.+)_)??(?P<figure>{'|'.join(STEM_FIGURES)})")
EMBEDDING = re.compile(r"(?P<distance>kad|fad)(?:_(?P<embedding>.+))?")


class Figure(NamedTuple):
    """How a figure is presented.

    Attributes:
        label: its name in words, with the unit.
        better: an arrow to where it is better, or nothing.
    """

    label: str
    better: str


def describe(name: str) -> Figure:
    """How to present a figure, with or without a suffix; one that is not known is called by its own name."""
    if point := POINT.fullmatch(name):
        figure = describe(point["figure"])
        return figure._replace(label=f"{figure.label}, {SYMBOLS[point['symbol']]} {float(point['value']):g}")
    base, suffix = split_suffix(name)
    if base in FIGURES:
        label, better = FIGURES[base]
    elif match := SEPARATION.fullmatch(base):
        label, better = STEM_FIGURES[match["figure"]]
        how = " by the sum of the others" if match["sum"] else ""
        label = f"separation of {match['stem'] or 'stems (mean)'}{how}, {label}"
    elif match := EMBEDDING.fullmatch(base):
        label, better = f"{match['distance'].upper()}, {match['embedding'] or 'unknown embedding'}", LOWER
    else:
        label, better = base, NEITHER
    return Figure(f"{label}, {SUFFIXES[suffix]}" if suffix else label, better)


def split_suffix(name: str) -> tuple[str, str]:
    """`decoder/additivity_mss_centered` -> `decoder/additivity_mss`, `_centered`."""
    suffix = next((suffix for suffix in SUFFIXES if suffix and name.endswith(suffix)), "")
    return name.removesuffix(suffix), suffix


def stem_of(name: str) -> str | None:
    """The stem that a figure of separation is of; None for means over stems and for other figures."""
    match = SEPARATION.fullmatch(split_suffix(name)[0])
    return match["stem"] if match else None


def parts_of(name: str, names: Collection[str]) -> list[str]:
    """The figures among names whose mean a figure is: those of single stems for a mean over stems, else itself."""
    base, suffix = split_suffix(name)
    mean = SEPARATION.fullmatch(base)
    if not mean or mean["stem"]:
        return [name]
    known = ((other, SEPARATION.fullmatch(split_suffix(other)[0])) for other in sorted(names))
    return [
        other
        for other, part in known
        if part
        and part["stem"]
        and part["sum"] == mean["sum"]
        and part["figure"] == mean["figure"]
        and split_suffix(other)[1] == suffix
    ] or [name]


def for_scale(name: str, gains: Sequence[float], stems: int) -> str:
    """What a model would score that knows nothing of what a figure asks for.

    Args:
        name: of the figure.
        gains: whose mean is homogeneity's figure.
        stems: of a track.
    """
    deaf = {
        "decoder/homogeneity_mss": deaf_decoder_mss,
        "decoder/homogeneity_snr": deaf_decoder_snr,
        "encoder/homogeneity_error": deaf_encoder_error,
    }
    if name in deaf:
        return f"deaf to gain: {sum(map(deaf[name], gains)) / len(gains):.3g}"
    if name == "encoder/additivity_error" and stems:
        return f"constant encoder: {stems - 1}"
    if name == "mixing/mix_rate":
        return "as good as encoding the mix: 1"
    return {"removal/tax": "free of charge: 0", "floor/mss": "without noise: 0"}.get(name, "")


def deaf_decoder_mss(gain: float) -> float:
    """MSS of Dec(a z) against a Dec(z) for a decoder that ignores the gain a (and MSS ignores polarity)."""
    return abs(1 / abs(gain) - 1) + abs(math.log(abs(gain)))


def deaf_decoder_snr(gain: float) -> float:
    """SNR of the same, dB; infinite for a = 1."""
    return math.inf if gain == 1 else 20 * math.log10(abs(gain / (1 - gain)))


def deaf_encoder_error(gain: float) -> float:
    """Relative error of Enc(a x) against a Enc(x) for an encoder that ignores the gain a."""
    return abs((1 - gain) / gain)
