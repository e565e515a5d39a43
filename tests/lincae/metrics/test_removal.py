"""Removal of stems: known errors on what remains."""

import pytest
import torch
from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio

from lincae.metrics import Removal

SI_SDR, TAX = "removal/si_sdr", "removal/tax"


@pytest.fixture
def stems():
    """(N, K, T)."""
    return 0.3 * torch.randn(2, 3, 8192, generator=torch.Generator().manual_seed(0))


def remove(encode, decode, stems):
    metric, mix = Removal(len(stems)), stems.sum(dim=1)
    removed = torch.stack([decode(encode(mix) - encode(s)) for s in stems.unbind(1)], dim=1)
    remainders = mix[:, None] - stems
    reconstructed = torch.stack([decode(encode(r)) for r in remainders.unbind(1)], dim=1)
    metric.update(removed, reconstructed, remainders, torch.arange(len(stems)))
    return metric


def orthogonal(shape, seed=1):
    """A function that makes an error orthogonal to a signal, of its energy."""

    def error(signal):
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        signal = signal.double()
        noise -= (noise * signal).sum(-1, keepdim=True) / signal.square().sum(-1, keepdim=True) * signal
        return noise * signal.norm(dim=-1, keepdim=True) / noise.norm(dim=-1, keepdim=True)

    return error


def test_a_linear_lossy_autoencoder_pays_no_tax(stems):
    decode = lambda z: (z + z.roll(1, dims=-1)) / 4  # noqa: E731
    scores = remove(lambda x: 2 * x, decode, stems).compute()
    remainders = stems.sum(dim=1, keepdim=True) - stems
    expected = scale_invariant_signal_distortion_ratio(decode(2 * remainders).double(), remainders.double()).mean()
    assert scores[SI_SDR].item() == pytest.approx(expected.item(), abs=1e-4)
    assert scores[TAX].item() == pytest.approx(0, abs=1e-4)


def test_a_lossless_linear_autoencoder_is_perfect(stems):
    scores = remove(lambda x: 2 * x, lambda z: z / 2, stems).compute()
    assert scores[SI_SDR].item() > 100


def test_known_errors_are_averaged_over_stems_then_over_clips(stems):
    """Removals at 20, 30, 40 dB and 10 dB, reconstructions 5 dB better for one clip and 15 dB for the other."""
    remainders = stems.sum(dim=1, keepdim=True) - stems
    error = orthogonal(stems.shape)(remainders)
    removal = torch.tensor([[20.0, 30.0, 40.0], [10.0, 10.0, 10.0]])[..., None]
    ceiling = removal + torch.tensor([5.0, 15.0])[:, None, None]
    removed, reconstructed = (-0.5 * (remainders + 10 ** (-level / 20) * error) for level in (removal, ceiling))
    metric = Removal(2)
    metric.update(removed, reconstructed, remainders, torch.arange(2))
    expected = torch.tensor([[30.0, 5.0], [10.0, 15.0]], dtype=torch.float64)
    torch.testing.assert_close(metric.per_clip(), expected, atol=1e-3, rtol=0)
    assert metric.compute()[SI_SDR].item() == pytest.approx(20, abs=1e-3)
    assert metric.compute()[TAX].item() == pytest.approx(10, abs=1e-3)


def test_tanh_pays_more_with_drive(stems):
    decode = lambda z: z + 0.5 * z.roll(1, dims=-1)  # noqa: E731
    taxes = [
        remove(lambda x, drive=drive: torch.tanh(drive * x) / drive, decode, stems).compute()[TAX].item()
        for drive in (0.01, 1.0, 10.0)
    ]
    assert taxes[0] == pytest.approx(0, abs=1e-2)
    assert taxes == sorted(taxes)
    assert taxes[1] > 0.05


def test_nothing_remains_of_a_single_stem(stems):
    """The first clip has only its first stem: without it nothing is left; a silent stem is removed for nothing."""
    stems[0, 1:] = 0
    metric = Removal(2)
    mix = stems.sum(dim=1)
    remainders = mix[:, None] - stems
    error = orthogonal(stems.shape)(remainders.where(remainders != 0, 1))
    removed = remainders + torch.tensor([0.9, 0.1, 0.01])[:, None] * error
    metric.update(removed, remainders, remainders, torch.arange(2))
    assert metric.per_clip()[0, 0].item() == pytest.approx((20 + 40) / 2, abs=1e-3)

    alone = Removal(1)
    alone.update(removed[:1, :1], remainders[:1, :1], remainders[:1, :1], torch.tensor([0]))
    assert {int(count) for count in alone.counts().values()} == {0}
    assert all(score.isnan() for score in alone.compute().values())


def test_a_clip_repeated_for_padding_counts_once(stems):
    remainders = stems.sum(dim=1, keepdim=True) - stems
    error = orthogonal(stems.shape)(remainders)
    removed = remainders + torch.tensor([0.1, 0.01])[:, None, None] * error
    metric, rows = Removal(2), torch.tensor([1, 0, 1, 1])
    metric.update(removed[rows], remainders[rows], remainders[rows], rows)
    assert metric.compute()[SI_SDR].item() == pytest.approx(30, abs=1e-3)
