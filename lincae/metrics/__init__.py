"""Figures of merit: pure functions per clip, and `torchmetrics` classes that collect them over an evaluation set.

Every comparison of waveforms gets audio whose edges are already trimmed, and never clipped audio.
"""

from lincae.metrics.additivity import DecoderAdditivity, EncoderAdditivity
from lincae.metrics.clip_table import ClipTable
from lincae.metrics.homogeneity import CURVE_GAINS, HEADLINE_GAINS, DecoderHomogeneity, EncoderHomogeneity
from lincae.metrics.linearity import (
    decoder_homogeneity,
    encoder_additivity_error,
    encoder_homogeneity_error,
    relative_error,
)
from lincae.metrics.ratios import si_sdr, signal_to_noise
from lincae.metrics.reconstruction import Reconstruction
from lincae.metrics.separation import Separation
from lincae.metrics.spectral import multi_scale_spectral
from lincae.metrics.waveforms import is_active, leakage_dbfs

__all__ = [
    "CURVE_GAINS",
    "HEADLINE_GAINS",
    "ClipTable",
    "DecoderAdditivity",
    "DecoderHomogeneity",
    "EncoderAdditivity",
    "EncoderHomogeneity",
    "Reconstruction",
    "Separation",
    "decoder_homogeneity",
    "encoder_additivity_error",
    "encoder_homogeneity_error",
    "is_active",
    "leakage_dbfs",
    "multi_scale_spectral",
    "relative_error",
    "si_sdr",
    "signal_to_noise",
]
