"""KAD and FAD against closed forms, double loops and numpy's eigenvalues."""

import math

import numpy as np
import pytest
import torch

import lincae.metrics.set_distances as module
from lincae.metrics import frechet_audio_distance, kernel_audio_distance, kernel_audio_distance_interval


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def simplices(points=5, distance=3.0):
    """Two sets with one spare dimension, all distances the same."""
    corners = distance / math.sqrt(2) * torch.eye(2 * points + 1, dtype=torch.float64)
    return corners[:points], corners[points:-1]


def median_distance(points):
    distances = sorted(np.linalg.norm(a - b) for i, a in enumerate(points) for b in points[:i])
    return distances[(len(distances) - 1) // 2]


def looped_kad(reference, evaluated, bandwidth=None):
    r, e = reference.numpy(), evaluated.numpy()
    s = median_distance(r) if bandwidth is None else bandwidth
    kernel = lambda a, b: math.exp(-(np.sum((a - b) ** 2)) / (2 * s**2))  # noqa: E731
    within = lambda x: np.mean([kernel(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j])  # noqa: E731
    return 100 * (within(r) + within(e) - 2 * np.mean([kernel(a, b) for a in r for b in e]))


def test_kad_of_two_points_is_negative():
    points = torch.tensor([[0.0], [1.0]])
    assert kernel_audio_distance(points, points).item() == pytest.approx(100 * (math.exp(-0.5) - 1))


def test_kad_of_simplices():
    """Equal distances throughout: 0. Moved apart by d sqrt(2 ln 2), the kernel between the sets halves."""
    r, e = simplices()
    assert kernel_audio_distance(r, e).item() == pytest.approx(0, abs=1e-10)
    e = e.clone()
    e[:, -1] += 3 * math.sqrt(2 * math.log(2))
    assert kernel_audio_distance(r, e).item() == pytest.approx(100 * math.exp(-0.5))


def test_kad_of_a_perfect_model():
    """The same clips in both sets are not independent: below 0, less so for larger sets."""
    r = normal(30, 4)
    s = median_distance(r.numpy())
    kernels = torch.exp(-torch.pdist(r).square() / (2 * s**2))
    assert kernel_audio_distance(r, r).item() == pytest.approx(-200 * (1 - kernels.mean().item()) / 30)


@pytest.mark.parametrize(("m", "n"), [(8, 8), (11, 6), (2, 9)])
def test_kad_equals_a_double_loop(m, n):
    """Also for an even number of distances, and with the sets exchanged: the bandwidth is the reference's alone."""
    r, e = normal(m, 3), 2 * normal(n, 3, seed=1) + 0.5
    assert kernel_audio_distance(r, e).item() == pytest.approx(looped_kad(r, e), rel=1e-10)
    assert kernel_audio_distance(e, r).item() == pytest.approx(looped_kad(e, r), rel=1e-10)
    assert looped_kad(r, e) != pytest.approx(looped_kad(e, r), rel=0.01)


def test_kad_is_unbiased():
    """Many pairs of independent sets of one distribution average to 0, within three standard errors."""
    scores = torch.stack([kernel_audio_distance(*normal(2, 12, 4, seed=seed)) for seed in range(500)])
    assert scores.mean().abs().item() < 3 * scores.std().item() / 500**0.5
    assert (scores < 0).double().mean().item() > 0.3


def test_kad_does_not_change_with_the_unit_or_the_origin():
    r, e = normal(20, 3), normal(20, 3, seed=1) + 1
    expected = kernel_audio_distance(r, e).item()
    assert kernel_audio_distance(1000 * r, 1000 * e).item() == pytest.approx(expected, rel=1e-10)
    assert kernel_audio_distance(r + 1e6, e + 1e6).item() == pytest.approx(expected, rel=1e-6)


def test_kad_in_parts(monkeypatch):
    r, e, groups = normal(23, 3), normal(23, 3, seed=1), torch.arange(23) // 4
    expected, bounds = kernel_audio_distance(r, e), kernel_audio_distance_interval(r, e, groups)
    monkeypatch.setattr(module, "ENTRIES", 50)
    torch.testing.assert_close(kernel_audio_distance(r, e), expected)
    torch.testing.assert_close(kernel_audio_distance_interval(r, e, groups), bounds)


def test_the_interval_leaves_groups_out_in_turn():
    r, e, groups = normal(12, 3), normal(12, 3, seed=1) + 0.3, torch.tensor([5, 5, 5, 1, 1, 2, 2, 2, 2, 9, 9, 9])
    s, labels = median_distance(r.numpy()), [1, 2, 5, 9]
    without = np.array([looped_kad(r[groups != g], e[groups != g], s) for g in labels])
    error = math.sqrt(3 / 4 * ((without - without.mean()) ** 2).sum())
    expected = [looped_kad(r, e) + sign * 1.96 * error for sign in (-1, 1)]
    assert [bound.item() for bound in kernel_audio_distance_interval(r, e, groups)] == pytest.approx(expected)


def test_the_interval_is_as_wide_as_kad_varies():
    """Reconstructions with an error, in sets drawn anew."""
    scores, widths = [], []
    for seed in range(200):
        r, error = normal(2, 60, 3, seed=seed)
        e = 1.3 * r + 0.5 + 0.3 * error
        scores.append(kernel_audio_distance(r, e))
        low, high = kernel_audio_distance_interval(r, e)
        widths.append(high - low)
    assert torch.stack(widths).mean().item() == pytest.approx(2 * 1.96 * torch.stack(scores).std().item(), rel=0.2)


@pytest.mark.filterwarnings("error")
def test_fad_of_a_shift_and_of_a_gain():
    r = normal(50, 4) @ normal(4, 4, seed=1) + 2
    shift = torch.tensor([1.0, -2.0, 0.5, 0.0])
    assert frechet_audio_distance(r, r).item() == pytest.approx(0, abs=1e-9)
    assert frechet_audio_distance(r, r + shift).item() == pytest.approx(5.25)
    scatter = r.var(dim=0).sum() + r.mean(dim=0).square().sum()
    for gain in (0.5, 3.0):
        assert frechet_audio_distance(r, gain * r).item() == pytest.approx((gain - 1) ** 2 * scatter.item())


def test_fad_in_one_dimension():
    """(mu - mu')^2 + (sigma - sigma')^2."""
    r, e = torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [2.0], [3.0], [4.0], [5.0]])
    assert frechet_audio_distance(r, e).item() == pytest.approx(4 + (2.5**0.5 - 2**0.5) ** 2)


def test_fad_equals_the_eigenvalues_of_the_product():
    r, e = (normal(60, 5, seed=seed) @ normal(5, 5, seed=seed + 2) for seed in (0, 1))
    S_r, S_e = np.cov(r.numpy().T), np.cov(e.numpy().T)
    cross = np.sqrt(np.linalg.eigvals(S_r @ S_e).astype(complex)).sum().real
    mean = ((r.mean(dim=0) - e.mean(dim=0)) ** 2).sum().item()
    expected = mean + np.trace(S_r) + np.trace(S_e) - 2 * cross
    assert frechet_audio_distance(r, e).item() == pytest.approx(expected, rel=1e-9)
    assert frechet_audio_distance(e, r).item() == pytest.approx(expected, rel=1e-9)


def test_fad_warns_of_small_sets():
    """It still gives the closed form of a shift, with a covariance of rank 3."""
    r = normal(4, 6)
    with pytest.warns(UserWarning, match="4 clips in 6 dimensions.*more than 6"):
        assert frechet_audio_distance(r, r + 1).item() == pytest.approx(6, abs=1e-5)


@pytest.mark.parametrize("distance", [kernel_audio_distance, frechet_audio_distance, kernel_audio_distance_interval])
def test_sets_without_a_distance_are_refused(distance):
    points = normal(5, 2)
    with pytest.raises(ValueError, match="1 clips in the reference set"):
        distance(points[:1], points)
    with pytest.raises(ValueError, match="1 clips in the evaluated set"):
        distance(points, points[:1])
    with pytest.raises(ValueError, match=r"\(5, 2\) and \(5, 1\)"):
        distance(points, points[:, :1])
    broken = points.clone()
    broken[3, 0], broken[4, 1] = torch.nan, torch.inf
    with pytest.raises(ValueError, match="evaluated set: the embeddings of 2 clips are not finite, first in row 3"):
        distance(points, broken)


def test_a_reference_that_repeats_one_embedding_is_refused():
    with pytest.raises(ValueError, match="median distance"):
        kernel_audio_distance(torch.zeros(4, 2), normal(4, 2))


def test_intervals_without_a_meaning_are_refused():
    points = normal(5, 2)
    with pytest.raises(ValueError, match="5 reference and 4 evaluated clips"):
        kernel_audio_distance_interval(points, points[:4])
    with pytest.raises(ValueError, match="5 clips in 1 groups"):
        kernel_audio_distance_interval(points, points, torch.zeros(5, dtype=torch.long))
    with pytest.raises(ValueError, match="5 clips in 2 groups"):
        kernel_audio_distance_interval(points, points, torch.tensor([0, 0, 0, 0, 1]))
