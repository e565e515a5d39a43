"""Bootstrap intervals against exact and asymptotic ones."""

import numpy as np
import pytest
import torch

from lincae.metrics import bootstrap, interval, paired_difference, resampled_means

NAN = float("nan")


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def binomial_quantiles(n, chance):
    """2.5 % and 97.5 % quantiles of the share of successes in n trials, from the distribution itself."""
    chances = [1.0]
    for _ in range(n):
        chances = [
            chance * below + (1 - chance) * here for below, here in zip([0, *chances], [*chances, 0], strict=True)
        ]
    cumulated = np.cumsum(chances)
    return [float(np.searchsorted(cumulated, tail)) / n for tail in (0.025, 0.975)]


@pytest.mark.parametrize(("n", "ones"), [(2, 1), (20, 5), (50, 35)])
def test_shares_have_the_binomial_interval(n, ones):
    """Resamples of ones and zeros are binomial; at most one step is left to chance."""
    values = torch.cat([torch.ones(ones), torch.zeros(n - ones)])[:, None]
    low, high = (bound.item() for bound in bootstrap(values))
    assert [low, high] == pytest.approx(binomial_quantiles(n, ones / n), abs=1.001 / n if n > 2 else 0)


def test_many_clips_have_the_normal_interval():
    values = normal(200, 3) * torch.tensor([1.0, 0.5, 0.1]) + torch.tensor([0.0, 5.0, -1.0])
    low, high = bootstrap(values)
    error = 1.96 * values.std(dim=0) / 200**0.5
    assert low.dtype == torch.float64
    torch.testing.assert_close(low, values.mean(dim=0) - error, atol=0.005, rtol=0)
    torch.testing.assert_close(high, values.mean(dim=0) + error, atol=0.005, rtol=0)


def test_a_known_bound_of_a_skewed_mean():
    """Means of 40 exponentials follow a gamma distribution; the interval is not symmetric."""
    quantiles = torch.distributions.Exponential(1.0).icdf((torch.arange(40) + 0.5) / 40)[:, None]
    low, high = (bound.item() for bound in bootstrap(quantiles))
    generator = np.random.default_rng(0)
    means = np.array([generator.choice(quantiles[:, 0].numpy(), 40).mean() for _ in range(10_000)])
    assert [low, high] == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.02)
    mean = quantiles.mean().item()
    assert high - mean > 1.1 * (mean - low)


def test_absent_figures_leave_the_resamples():
    """A third of the clips: mean and width of that third."""
    values = normal(300, 1) + 4
    values[torch.arange(300) % 3 != 0] = NAN
    low, high = bootstrap(values)
    some = values[::3]
    error = 1.96 * some.std(dim=0) / 100**0.5
    torch.testing.assert_close(low, some.mean(dim=0) - error, atol=0.015, rtol=0)
    torch.testing.assert_close(high, some.mean(dim=0) + error, atol=0.015, rtol=0)


def test_an_interval_needs_two_values():
    values = normal(5, 4)
    values[:, 0] = NAN
    values[1:, 1] = NAN
    values[2:, 2] = NAN
    low, high = bootstrap(values)
    assert low.isnan().tolist() == high.isnan().tolist() == [True, True, False, False]
    assert [low[2], high[2]] == sorted(values[:2, 2])  # resamples without either are left out
    assert bootstrap(values, groups=torch.zeros(5, dtype=torch.long))[0].isnan().all()


def test_tracks_are_resampled_whole():
    """Clips that repeat their track's value tell no more than the track; names of tracks don't matter."""
    tracks, clips = normal(40, 2), torch.arange(40).repeat_interleave(5)
    expected = bootstrap(tracks)
    for groups in (clips, 7 * clips - 3):
        for bound, wanted in zip(bootstrap(tracks[clips], groups), expected, strict=True):
            torch.testing.assert_close(bound, wanted)
    low, high = bootstrap(tracks[clips])
    assert ((expected[1] - expected[0]) / (high - low)).mean().item() == pytest.approx(5**0.5, rel=0.05)


def test_tracks_of_unequal_size_against_numpy():
    """The mean is over clips: a long track weighs more."""
    generator = np.random.default_rng(0)
    sizes = generator.integers(1, 9, 30)
    tracks = [generator.normal(size=size) + generator.normal() for size in sizes]
    means = []
    for _ in range(5000):
        means.append(np.concatenate([tracks[i] for i in generator.integers(30, size=30)]).mean())
    values, groups = (
        torch.tensor(np.concatenate(tracks))[:, None],
        torch.arange(30).repeat_interleave(torch.tensor(sizes)),
    )
    low, high = (bound.item() for bound in bootstrap(values, groups))
    assert [low, high] == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.03)


def test_models_are_paired():
    """The same resamples, whatever the values and the other columns."""
    values = normal(30, 2)
    low, high = bootstrap(values)
    shifted, _ = bootstrap(torch.cat([normal(30, 5, seed=1), values + 3], dim=1))
    torch.testing.assert_close(shifted[5:], low + 3)
    negated, _ = bootstrap(-values)
    torch.testing.assert_close(negated, -high)
    assert bootstrap(values, seed=1)[0].ne(low).all()


def test_the_difference_of_paired_models():
    """Clips differ far more than models: the difference is known well where the means are not."""
    difficulty, own = 10 * normal(100, 1), 0.1 * normal(100, 1, seed=1)
    better, worse = difficulty + 0.05 + own, difficulty
    mean, low, high = (bound.item() for bound in paired_difference(better, worse))
    assert mean == pytest.approx(0.05 + own.mean().item())
    error = 1.96 * own.std().item() / 10
    assert [low, high] == pytest.approx([0.05 + own.mean().item() + sign * error for sign in (-1, 1)], abs=2e-3)
    assert low > 0
    assert (bootstrap(better)[1] - bootstrap(better)[0]).item() > 50 * (high - low)


def test_differences_need_both_figures():
    values, others = normal(6, 1), normal(6, 1, seed=1)
    values[0], others[1] = NAN, NAN
    _, low, _ = paired_difference(values, others)
    torch.testing.assert_close(low, bootstrap(torch.where((torch.arange(6) < 2)[:, None], NAN, values - others))[0])
    with pytest.raises(ValueError, match=r"\(6, 1\).*\(5, 1\)"):
        paired_difference(values, others[:5])


def test_a_difference_of_averages_is_that_of_the_averages():
    """Columns that few clips have weigh as much as others: the mean of means is not the mean of all values."""
    values, others = normal(40, 3), normal(40, 3, seed=1)
    values[10:, 2] = NAN
    mean, low, high = paired_difference(values, others, averages=[[0, 2], [1]])
    one, other, third = (values - others).nanmean(dim=0)
    torch.testing.assert_close(mean, torch.stack([(one + third) / 2, other]).double())
    resampled = resampled_means(values - others)
    torch.testing.assert_close((low, high), interval(torch.stack([resampled[:, [0, 2]].mean(1), resampled[:, 1]], 1)))


def test_parts_of_bounded_memory_change_nothing(monkeypatch):
    values, groups = normal(37, 2), torch.arange(37) // 3
    expected = bootstrap(values, groups, draws=1000)
    monkeypatch.setitem(bootstrap.__globals__, "ENTRIES", 100)
    for bound, wanted in zip(bootstrap(values, groups, draws=1000), expected, strict=True):
        torch.testing.assert_close(bound, wanted, atol=1e-12, rtol=0)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="no clips"):
        bootstrap(torch.zeros(0, 2))
    with pytest.raises(ValueError, match=r"\(3,\).*4 clips"):
        bootstrap(torch.zeros(4, 2), groups=torch.arange(3))
