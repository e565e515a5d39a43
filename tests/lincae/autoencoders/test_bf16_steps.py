"""Under bf16 autocast nothing that saturates, and no reduction outside of a normalisation, is computed in bf16."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lincae.autoencoders.bottleneck import VariationalBottleneck
from lincae.autoencoders.consistency import ConsistencyAutoencoder
from lincae.autoencoders.losses import MelSTFT, MultiResolutionSTFT, RelativeL2
from lincae.autoencoders.spectral import SpectralAutoencoder
from lincae.autoencoders.waveform import WaveformAutoencoder
from lincae.mixing import Batch, CircularShift, Mixture
from lincae.step import take_step
from lincae.streams import Draws

SAMPLES = 1216  # 16 frames, 2 latents

SENSITIVE = {
    *(
        "tanh",
        "sigmoid",
        "_softmax",
        "_log_softmax",
        "logsumexp",
        "erf",
        "exp",
        "expm1",
        "log",
        "log10",
        "log1p",
        "pow",
    ),
    *("sqrt", "rsqrt", "reciprocal", "sin", "cos", "atan2", "hypot", "sum", "mean", "var", "std", "var_mean", "prod"),
    *("cumsum", "cumprod", "norm", "linalg_vector_norm", "abs", "amax", "max", "min"),
}
"""What must not see eight bits of mantissa. Normalisations and attention reduce in float32 inside their kernels."""


class Seen(TorchDispatchMode):
    """The names of all operators, and of those that were given bf16."""

    def __init__(self):
        super().__init__()
        self.all, self.half = set(), set()

    def __torch_dispatch__(self, function, types, arguments=(), settings=None):
        name = function.overloadpacket.__name__.rstrip("_")
        self.all.add(name)
        if any(isinstance(each, torch.Tensor) and each.dtype == torch.bfloat16 for each in arguments):
            self.half.add(name)
        return function(*arguments, **(settings or {}))


@pytest.fixture
def models(spectrogram, sizes):
    """A function that makes a model by its name."""
    waves = {"widths": [4, 8, 8], "strides": [4, 4], "latents": 3, "sample_rate": 16_000}
    losses = [RelativeL2(), MultiResolutionSTFT(), MelSTFT(16_000)]
    return {
        "consistency": lambda: ConsistencyAutoencoder(spectrogram, sizes),
        "spectral": lambda: SpectralAutoencoder(spectrogram, sizes),
        "waveform": lambda: WaveformAutoencoder(**waves, losses=losses, bottleneck=VariationalBottleneck(3)),
    }


@pytest.mark.parametrize("name", ["consistency", "spectral", "waveform"])
def test_a_step_saturates_and_reduces_in_float32(models, awaken, normal, name):
    torch.manual_seed(0)
    model, draws = awaken(models[name]()), Draws(11, [4, 7])
    batch = Batch(Mixture(0.3 * normal(4, SAMPLES), CircularShift()(4, draws)), draws)
    with Seen() as seen, torch.autocast("cpu", torch.bfloat16):
        take_step(model, batch, torch.tensor(0.3))
    assert seen.half >= {"convolution"}  # autocast is on
    assert seen.all >= {"mean", "sqrt"}  # and reductions are seen
    assert seen.half & SENSITIVE == set()
