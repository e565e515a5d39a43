"""Figures of merit: pure functions per clip, and `torchmetrics` classes that collect them over an evaluation set.

Every comparison of waveforms gets audio whose edges are already trimmed, and never clipped audio.
"""

from lincae.metrics.additivity import DecoderAdditivity, EncoderAdditivity
from lincae.metrics.bootstrap import bootstrap, interval, paired_difference, resampled_means
from lincae.metrics.clip_table import ClipTable, Summary
from lincae.metrics.embedding import (
    Embedding,
    EmbeddingTable,
    LogMelStatistics,
    embedding_distances,
    embedding_summaries,
)
from lincae.metrics.homogeneity import CURVE_GAINS, HEADLINE_GAINS, DecoderHomogeneity, EncoderHomogeneity
from lincae.metrics.linearity import (
    decoder_homogeneity,
    encoder_additivity_error,
    encoder_homogeneity_error,
    relative_error,
)
from lincae.metrics.mixing import MIX_RATIOS, Mixing, mix_pairs
from lincae.metrics.ratios import si_sdr, signal_to_noise
from lincae.metrics.reconstruction import Reconstruction
from lincae.metrics.removal import Removal
from lincae.metrics.separation import Separation
from lincae.metrics.set_distances import (
    frechet_audio_distance,
    kernel_audio_distance,
    kernel_audio_distance_interval,
)
from lincae.metrics.spectral import multi_scale_spectral
from lincae.metrics.waveforms import is_active, leakage_dbfs

__all__ = [
    "CURVE_GAINS",
    "HEADLINE_GAINS",
    "MIX_RATIOS",
    "ClipTable",
    "DecoderAdditivity",
    "DecoderHomogeneity",
    "Embedding",
    "EmbeddingTable",
    "EncoderAdditivity",
    "EncoderHomogeneity",
    "LogMelStatistics",
    "Mixing",
    "Reconstruction",
    "Removal",
    "Separation",
    "Summary",
    "bootstrap",
    "decoder_homogeneity",
    "embedding_distances",
    "embedding_summaries",
    "encoder_additivity_error",
    "encoder_homogeneity_error",
    "frechet_audio_distance",
    "interval",
    "is_active",
    "kernel_audio_distance",
    "kernel_audio_distance_interval",
    "leakage_dbfs",
    "mix_pairs",
    "multi_scale_spectral",
    "paired_difference",
    "relative_error",
    "resampled_means",
    "si_sdr",
    "signal_to_noise",
]
