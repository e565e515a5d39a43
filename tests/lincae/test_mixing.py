"""Mixing matrices against the plain loops over clips that they replace."""

import math
from collections import Counter

import pytest
import torch
from scipy.stats import beta, chisquare, kstest, uniform

from lincae.mixing import (
    CircularShift,
    Mixture,
    PlainClips,
    circular_shift,
    k_source_mixes,
    mix,
    peak_gains,
    random_gains,
)
from lincae.streams import Draws

FLOAT32_ROUNDING = 2**-24


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def rand(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def frames(audio):
    """The identity in latent's clothes: (N, T) -> (N, 16, T / 16)."""
    return audio.unflatten(-1, (16, -1))


# ------------------------------------------------------------------------------------------------------- circular shift


def shifted_mixes(clips, weights, group_size, convex):
    """Clips and their circular-shift mixes, group by group, one row after another."""
    rows = []
    for start in range(0, len(clips), group_size):
        group, group_weights = clips[start : start + group_size], weights[start : start + group_size]
        rows += list(group)
        for i in range(group_size):
            w = group_weights[i]
            neighbour = group[i - 1]  # the first clip's is the last one
            rows.append(w * group[i] + ((1 - w) if convex else w) * neighbour)
    return torch.stack(rows)


@pytest.mark.parametrize("convex", [True, False])
@pytest.mark.parametrize("group_size", [1, 2, 3, 6])
def test_circular_shift_mixes_neighbours_within_their_group(group_size, convex):
    clips, weights = randn(6, 64), rand(6, seed=1)
    matrix = circular_shift(weights, group_size, convex)
    assert matrix.shape == (12, 6)
    torch.testing.assert_close(mix(matrix, clips), shifted_mixes(clips, weights, group_size, convex))


def test_a_circular_shift_written_out():
    w0, w1, w2, w3 = (torch.tensor(w) for w in (0.5, 0.625, 0.75, 1.0))
    expected = [
        [1, 0, 0, 0],
        [0, 1, 0, 0],
        [w0, 1 - w0, 0, 0],
        [1 - w1, w1, 0, 0],
        [0, 0, 1, 0],
        [0, 0, 0, 1],
        [0, 0, w2, 1 - w2],
        [0, 0, 1 - w3, w3],
    ]
    assert circular_shift(torch.stack([w0, w1, w2, w3]), 2).tolist() == torch.tensor(expected).tolist()


def test_the_papers_weights_are_uniform_between_a_half_and_one():
    draws = Draws(0, [7, 8])
    matrix = CircularShift()(2000, draws)
    weights = 0.5 + 0.5 * draws.uniform("mix", 2000)
    assert torch.equal(matrix, circular_shift(weights, 1000))
    mixes = matrix.view(2, 2, 1000, 2000)[:, 1].flatten(0, 1)
    own = mixes.diagonal()
    assert own.min() >= 0.5
    assert own.max() <= 1
    assert own.mean().item() == pytest.approx(0.75, abs=4 * 0.5 / math.sqrt(12 * 2000))
    torch.testing.assert_close(mixes.sum(dim=1), torch.ones(2000))


def test_plain_averages_and_plain_sums():
    clips, draws = randn(4, 64), Draws(0, [0])
    neighbours = clips.roll(1, dims=0)
    averages = mix(CircularShift(0.5, 0.5)(4, draws), clips)[4:]
    sums = mix(CircularShift(1, 1, convex=False)(4, draws), clips)[4:]
    torch.testing.assert_close(averages, (clips + neighbours) / 2)
    torch.testing.assert_close(sums, clips + neighbours)


def test_mixes_of_a_group_do_not_depend_on_the_rest_of_the_batch():
    whole = CircularShift()(8, Draws(5, [3, 4]))
    alone = [CircularShift()(4, Draws(5, [group])) for group in (3, 4)]
    assert torch.equal(whole, torch.block_diag(*alone))


def test_clips_that_do_not_divide_into_groups_are_refused():
    with pytest.raises(ValueError, match=r"7 rows of 'mix' do not divide into the batch's 2 groups"):
        CircularShift()(7, Draws(0, [0, 1]))


def test_plain_clips_are_not_mixed():
    assert torch.equal(PlainClips()(3, Draws(0, [0])), torch.eye(3))


# ------------------------------------------------------------------------------------------------------------ k sources


def test_k_source_mixes_written_out():
    choice = torch.tensor([[0.1, 0.9, 0.8], [0.7, 0.2, 0.6], [0.3, 0.2, 0.1]])
    cuts = torch.tensor([[0.75, 0.25], [0.5, 0.125], [0.5, 0.25]])
    matrix = k_source_mixes(choice, cuts, numbers=torch.tensor([3, 2, 1]))
    assert matrix.tolist() == [[0.25, 0.25, 0.5], [0.5, 0, 0.5], [1, 0, 0]]


@pytest.mark.parametrize(("group_size", "k"), [(2, 2), (4, 2), (4, 4), (8, 4)])
def test_weights_are_uniform_on_the_simplex_whichever_clips_are_chosen(group_size, k):
    groups = 500
    choice = rand(group_size * groups, group_size)
    rows = k_source_mixes(choice, rand(group_size * groups, k - 1, seed=1)).view(groups, group_size, groups, group_size)
    weights = rows.diagonal(dim1=0, dim2=2).permute(2, 0, 1).flatten(0, 1)  # (groups * group_size, group_size)
    assert (weights > 0).sum(dim=1).eq(k).all()
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(len(weights)))
    for clip in range(group_size):  # the marginal of a flat Dirichlet distribution, for each clip alike
        own = weights[:, clip][weights[:, clip] > 0]
        assert len(own) == pytest.approx(len(weights) * k / group_size, abs=4 * math.sqrt(len(weights) / 4))
        assert kstest(own.numpy(), beta(1, k - 1).cdf).pvalue > 1e-4
    leading = weights.amax(dim=1)  # its mean is that of the longest of k pieces of a broken stick
    assert leading.mean().item() == pytest.approx(
        sum(1 / i for i in range(1, k + 1)) / k, abs=4 * 0.2 / len(leading) ** 0.5
    )
    if k == 2:
        assert kstest(leading.numpy(), uniform(0.5, 0.5).cdf).pvalue > 1e-4  # as the paper's


def test_any_clips_of_a_group_are_as_likely_as_any_others():
    group_size, groups = 4, 1000
    matrix = k_source_mixes(rand(group_size * groups, group_size), rand(group_size * groups, 1, seed=1))
    pairs = (matrix > 0).view(group_size * groups, groups, group_size).any(dim=1).nonzero()[:, 1].view(-1, 2)
    counts = Counter(map(tuple, pairs.tolist()))
    assert len(counts) == 6
    assert chisquare(list(counts.values())).pvalue > 1e-4


def test_mixes_of_more_clips_than_a_group_has_are_refused():
    with pytest.raises(ValueError, match=r"mixes of 4 sources need mix groups of 4 clips or more, got 3"):
        k_source_mixes(rand(6, 3), rand(6, 3))


# ---------------------------------------------------------------------------------------------------------------- gains


@pytest.mark.parametrize(("low", "high"), [(0.0, 3.0), (-3.0, 3.0), (0.4, 1.2), (1.0, 1.0)])
def test_random_gains(low, high):
    uniform, chance = rand(500), rand(500, seed=1)
    expected = []
    for u, c in zip(uniform.tolist(), chance.tolist(), strict=True):
        a = low + (high - low) * u
        if abs(a) < 0.05:
            a = 0.0
        expected.append(a if c < 0.8 else 1.0)
    torch.testing.assert_close(random_gains(uniform, chance, low, high, 0.8, 0.05), torch.tensor(expected))


def test_shares_of_the_papers_gains():
    gains = random_gains(rand(40_000), rand(40_000, seed=1), 0.0, 3.0, probability=0.8, snap=0.05)
    assert (gains == 1).float().mean().item() == pytest.approx(0.2, abs=0.01)
    assert (gains == 0).float().mean().item() == pytest.approx(0.8 * 0.05 / 3, abs=0.003)
    assert not ((gains > 0) & (gains < 0.05)).any()
    assert gains.max() < 3
    assert gains.mean().item() == pytest.approx(0.8 * 1.5 + 0.2, abs=0.03)


def test_gains_of_all_rows_or_none():
    uniform, chance = rand(100), rand(100, seed=1)
    assert random_gains(uniform, chance, 0.0, 3.0, probability=0.0, snap=0.05).eq(1).all()
    torch.testing.assert_close(random_gains(uniform, chance, 0.0, 3.0, probability=1.0, snap=0.0), 3 * uniform)


def capped(targets, ceiling):
    """Each row scaled down to the ceiling if it exceeds it."""
    rows = []
    for row in targets.tolist():
        peak = max(abs(sample) for sample in row)
        rows.append([sample * (ceiling / peak if peak > ceiling else 1.0) for sample in row])
    return torch.tensor(rows)


@pytest.mark.parametrize("ceiling", [1.0, 0.5])
def test_the_peak_cap_of_scaled_rows(ceiling):
    gains = torch.tensor([0.1, 1.0, 3.0, -3.0, 0.0, -0.1])
    targets = gains[:, None] * randn(6, 100)
    cap = peak_gains(targets, ceiling)
    torch.testing.assert_close(cap[:, None] * targets, capped(targets, ceiling))
    assert (cap[:, None] * targets).abs().max() <= ceiling * (1 + 1e-6)


def test_the_peak_cap_keeps_signs_and_never_amplifies():
    clips = randn(200, 50)
    gains = torch.linspace(-3, 3, 200)
    cap = peak_gains(gains[:, None] * clips)
    assert (cap > 0).all()
    assert (cap <= 1).all()
    assert torch.equal((cap * gains).sign(), gains.sign())


def test_silent_rows_are_left_alone():
    targets = torch.zeros(2, 10)
    targets[1, 3] = -4
    assert peak_gains(targets).tolist() == [1.0, 0.25]


def test_a_clip_that_peaks_at_one_never_sees_a_gain_above_one():
    clips = randn(100, 50)
    clips = clips / clips.abs().amax(dim=1, keepdim=True)
    gains = random_gains(rand(100), rand(100, seed=1), 0.0, 3.0, 0.8, 0.05)
    effective = gains * peak_gains(gains[:, None] * clips)
    torch.testing.assert_close(effective, gains.clamp(max=1))
    half = gains * peak_gains(gains[:, None] * clips / 2)
    torch.testing.assert_close(half, gains.clamp(max=2))


# -------------------------------------------------------------------------------------------------------------- mixture


def test_products_are_exact_under_autocast():
    clips, latents = randn(20, 500), randn(20, 8, 6, seed=1)
    matrix = torch.cat([torch.eye(20), randn(20, 20, seed=2)])
    mixture = Mixture(clips, matrix)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        targets, condition = mixture.targets, mixture.condition(latents)
        assert (matrix[:20] @ clips).dtype == torch.bfloat16  # what a plain product would be
    assert targets.dtype == condition.dtype == torch.float32
    assert torch.equal(targets[:20], clips)
    assert torch.equal(condition[:20], latents)
    exact = matrix.double() @ clips.double(), (matrix.double() @ latents.double().flatten(1)).view(40, 8, 6)
    torch.testing.assert_close((targets.double(), condition.double()), exact, rtol=FLOAT32_ROUNDING, atol=1e-12)


def test_half_precision_latents_are_mixed_in_full_precision():
    latents = randn(4, 3, 5).bfloat16()
    matrix = randn(6, 4, seed=1)
    condition = Mixture(randn(4, 10), matrix).condition(latents)
    assert condition.dtype == torch.float32
    exact = (matrix.double() @ latents.double().flatten(1)).view(6, 3, 5)
    torch.testing.assert_close(condition.double(), exact, rtol=FLOAT32_ROUNDING, atol=1e-12)


def test_gradients_flow_through_the_condition():
    latents, matrix, slope = randn(4, 3, 5).requires_grad_(), randn(6, 4, seed=1), randn(6, 3, 5, seed=2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        Mixture(randn(4, 10), matrix).condition(latents).backward(slope)
    torch.testing.assert_close(latents.grad, torch.einsum("ns,ndl->sdl", matrix, slope))


def test_a_linear_encoder_commutes_with_every_matrix_and_others_do_not():
    clips, basis = randn(6, 64), randn(5, 16, seed=1)
    mixture = Mixture(clips, randn(12, 6, seed=2))
    linear = lambda audio: basis @ frames(audio)  # noqa: E731
    torch.testing.assert_close(mixture.condition(linear(clips)), linear(mixture.targets), atol=1e-4, rtol=1e-5)
    assert (mixture.condition(linear(clips).tanh()) - linear(mixture.targets).tanh()).abs().max() > 0.1


def test_rewriting_keeps_the_sources():
    mixture, matrix = Mixture(randn(4, 10), torch.eye(4)), randn(6, 4, seed=1)
    rewritten = mixture.rewritten(matrix)
    assert rewritten.sources is mixture.sources
    assert rewritten.matrix is matrix
    assert torch.equal(mixture.matrix, torch.eye(4))


def test_materialized_is_the_baseline():
    mixture = Mixture(randn(4, 64), randn(6, 4, seed=1))
    baseline = mixture.materialized()
    assert torch.equal(baseline.sources, mixture.targets)
    assert torch.equal(baseline.targets, mixture.targets)
    assert torch.equal(baseline.matrix, torch.eye(6))
    latents = frames(baseline.sources).tanh()
    assert torch.equal(baseline.condition(latents), latents)
    assert mixture.implicit
    assert not baseline.implicit


def test_a_baseline_cannot_become_implicit():
    with pytest.raises(RuntimeError, match="before"):
        Mixture(randn(4, 10), torch.eye(4)).materialized().rewritten(torch.eye(4))
