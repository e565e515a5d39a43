"""Callbacks, found by class path in YAML: augmentations, figures, and the running of a training."""

from callbacks.additivity import AdditivityFigures
from callbacks.audio import AudioSamples
from callbacks.augmentation import Augmentation, Stage
from callbacks.checkpoints import Checkpoints
from callbacks.embedding import EmbeddingFigures
from callbacks.figures import Figures
from callbacks.figures_file import FiguresFile
from callbacks.finite_loss import FiniteLoss
from callbacks.gain import Gain
from callbacks.homogeneity import HomogeneityFigures
from callbacks.k_sources import KSources
from callbacks.latent_collapse import LatentCollapse
from callbacks.match_levels import MatchLevels
from callbacks.materialize import Materialize
from callbacks.mixing import MixingFigures
from callbacks.peak_limit import PeakLimit
from callbacks.plain_rows import PlainRows
from callbacks.polarity import Polarity
from callbacks.progress import Progress
from callbacks.reconstruction import ReconstructionFigures
from callbacks.rejected_audio import RejectedAudio
from callbacks.removal import RemovalFigures
from callbacks.separation import SeparationFigures
from callbacks.stop_after import StopAfter
from callbacks.subtraction import SubtractionRows
from callbacks.throughput import Throughput
from callbacks.train_only import TrainOnly

__all__ = [
    "AdditivityFigures",
    "AudioSamples",
    "Augmentation",
    "Checkpoints",
    "EmbeddingFigures",
    "Figures",
    "FiguresFile",
    "FiniteLoss",
    "Gain",
    "HomogeneityFigures",
    "KSources",
    "LatentCollapse",
    "MatchLevels",
    "Materialize",
    "MixingFigures",
    "PeakLimit",
    "PlainRows",
    "Polarity",
    "Progress",
    "ReconstructionFigures",
    "RejectedAudio",
    "RemovalFigures",
    "SeparationFigures",
    "Stage",
    "StopAfter",
    "SubtractionRows",
    "Throughput",
    "TrainOnly",
]
