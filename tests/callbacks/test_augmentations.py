"""Augmentations: the matrices they write, and the order that they keep."""

from itertools import permutations
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from scipy.stats import beta, chisquare, kstest
from torch import nn
from torch.utils.data import DataLoader

from callbacks import (
    Augmentation,
    Gain,
    KSources,
    MatchLevels,
    Materialize,
    PeakLimit,
    PlainRows,
    Polarity,
    Stage,
    SubtractionRows,
)
from lincae.mixing import Batch, CircularShift, Mixture
from lincae.module import ImplicitLinearity
from lincae.schedules import GainSchedule
from lincae.streams import Draws

torch.set_num_threads(1)  # small tensors: more threads only wait for each other

CLIPS, GROUP_SIZE, SAMPLES = 8, 4, 160


def draws(*groups: int) -> Draws:
    return Draws(0, groups or (3, 4))


def mixture(draws: Draws = Draws(0, (3, 4))) -> Mixture:  # noqa: B008 (frozen)
    """Clips of each group and their circular-shift mixes."""
    clips = GROUP_SIZE * len(draws.groups)
    return Mixture(0.3 * draws.normal("clip", clips, SAMPLES), CircularShift()(clips, draws))


class Module:
    """A module in training, as far as augmentations see it."""

    def __init__(self, low: float = 0.0, high: float = 3.0) -> None:
        self.gain_range = (low, high)
        self.logged: dict[str, float] = {}

    def log(self, name, value):
        self.logged[name] = value.item()


# -------------------------------------------------------------------------------------------------------------- scaling


def test_gain_scales_rows_of_the_matrix():
    before, module = mixture(), Module(low=-1.0, high=2.0)
    after = Gain(probability=0.6, snap=0.3).rewrite(before, draws(), module)
    uniform, chance = draws().uniform("gain", 16), draws().uniform("gain chance", 16)
    rows = []
    for row, u, c in zip(before.matrix, uniform.tolist(), chance.tolist(), strict=True):
        a = -1 + 3 * u
        a = 0.0 if abs(a) < 0.3 else a
        rows.append((a if c < 0.6 else 1.0) * row)
    torch.testing.assert_close(after.matrix, torch.stack(rows))
    assert after.sources is before.sources


def test_gain_asks_the_module_for_its_range():
    before = mixture()
    assert torch.equal(Gain(probability=1).rewrite(before, draws(), Module(1.0, 1.0)).matrix, before.matrix)
    assert torch.equal(Gain(probability=1).rewrite(before, draws(), Module(2.0, 2.0)).matrix, 2 * before.matrix)
    assert torch.equal(Gain(probability=0).rewrite(before, draws(), Module(2.0, 2.0)).matrix, before.matrix)


def test_small_gains_are_silence():
    assert Gain(probability=1).rewrite(mixture(), draws(), Module(0.0, 0.04)).targets.eq(0).all()
    assert not Gain(probability=1, snap=0).rewrite(mixture(), draws(), Module(0.01, 0.04)).targets.eq(0).any()


def test_polarity_flips_rows_of_the_matrix():
    before = mixture()
    after = Polarity(probability=0.4).rewrite(before, draws(), Module())
    flips = [u < 0.4 for u in draws().uniform("polarity", 16).tolist()]
    expected = torch.stack([-row if flip else row for row, flip in zip(before.matrix, flips, strict=True)])
    assert torch.equal(after.matrix, expected)
    assert 0 < sum(flips) < 16
    assert torch.equal(Polarity(probability=0).rewrite(before, draws(), Module()).matrix, before.matrix)
    assert torch.equal(Polarity(probability=1).rewrite(before, draws(), Module()).matrix, -before.matrix)


@pytest.mark.parametrize("ceiling", [1.0, 0.5])
def test_the_peak_limit_scales_down_what_would_clip(ceiling):
    before, module = mixture(), Module()
    before = before.rewritten(torch.linspace(-4, 4, 16)[:, None] * before.matrix)
    after = PeakLimit(ceiling).rewrite(before, draws(), module)
    rows, capped = [], 0
    for row, target in zip(before.matrix, before.targets, strict=True):
        peak = target.abs().max().item()
        capped += peak > ceiling
        rows.append(row * min(1.0, ceiling / peak))
    torch.testing.assert_close(after.matrix, torch.stack(rows))
    assert after.targets.abs().max() <= ceiling * (1 + 1e-6)
    assert torch.equal(after.matrix.sign(), before.matrix.sign())
    assert 0 < capped < 16
    assert module.logged == {"train/capped_rows": pytest.approx(capped / 16)}


def test_silence_is_not_capped():
    before, module = mixture(), Module()
    after = PeakLimit().rewrite(before.rewritten(0 * before.matrix), draws(), module)
    assert after.matrix.eq(0).all()
    assert module.logged == {"train/capped_rows": 0}


# --------------------------------------------------------------------------------------------------------------- mixing


def own_blocks(matrix: torch.Tensor) -> torch.Tensor:
    """The entries of each group's rows for its own clips, (groups, rows, G); all others are 0."""
    groups = matrix.shape[1] // GROUP_SIZE
    blocks = matrix.view(groups, -1, groups, GROUP_SIZE)
    own = blocks.diagonal(dim1=0, dim2=2).permute(2, 0, 1)
    assert own.count_nonzero() == matrix.count_nonzero()
    return own


def k_source_rows(groups, *arguments, **settings) -> torch.Tensor:
    """The mixes that `KSources` adds for each group, (groups, G, G)."""
    plain = Mixture(torch.zeros(GROUP_SIZE * len(groups), 1), torch.eye(GROUP_SIZE * len(groups)))
    return own_blocks(KSources(*arguments, **settings).rewrite(plain, draws(*groups), Module()).matrix)[:, GROUP_SIZE:]


@pytest.mark.parametrize("k", [2, 3, 4])
def test_weights_of_k_sources_are_those_of_a_flat_dirichlet_distribution(k):
    rows = k_source_rows(range(400), k).flatten(0, 1)
    leading = rows.amax(dim=1).mean().item()
    assert leading == pytest.approx(sum(1 / i for i in range(1, k + 1)) / k, abs=4 * 0.17 / len(rows) ** 0.5)
    assert kstest(rows[rows > 0].numpy(), beta(1, k - 1).cdf).pvalue > 1e-4


def test_the_number_of_sources_is_drawn_for_each_mix():
    rows = k_source_rows(range(400), 4, fewest=2).flatten(0, 1)
    numbers = rows.count_nonzero(dim=1)
    assert chisquare(numbers.bincount(minlength=5)[2:].numpy()).pvalue > 1e-4
    torch.testing.assert_close(rows.sum(dim=1), torch.ones(len(rows)))
    for k in (2, 3, 4):
        own = rows[numbers == k]
        assert kstest(own[own > 0].numpy(), beta(1, k - 1).cdf).pvalue > 1e-4
    with pytest.raises(ValueError, match="fewest must be from 2 to sources, 4, got 5"):
        KSources(4, fewest=5)


def test_clips_of_a_mix_get_the_level_of_the_one_with_the_largest_weight():
    before = mixture()
    loudness = torch.tensor([1.0, 0.1, 0.5, 2.0, 1.0, 0.2, 0.3, 0.4])
    before = Mixture(
        loudness[:, None] * before.sources / before.sources.square().mean(1, keepdim=True).sqrt(), before.matrix
    )
    after = MatchLevels().rewrite(before, draws(), Module())
    heard = after.matrix * loudness  # root mean square of each clip in each row
    share = before.matrix
    for row in range(16):
        leader = int(share[row].argmax())
        torch.testing.assert_close(heard[row], share[row] * loudness[leader])
    silent = Mixture(0 * before.sources, before.matrix)
    assert torch.equal(MatchLevels().rewrite(silent, draws(), Module()).matrix, before.matrix)


def test_subtraction_leaves_the_rest_of_a_mix_that_was_encoded():
    before = mixture()
    after = SubtractionRows().rewrite(before, draws(), Module())
    assert after.sources.shape == (16, SAMPLES)
    mixes = before.targets.view(2, 2, 4, SAMPLES)[:, 1].flatten(0, 1)
    torch.testing.assert_close(after.sources[8:], mixes)
    latents = torch.randn(16, 3, 5)  # of an encoder that need not be linear
    rows = after.matrix.view(2, 3, 4, 16)
    weights = before.matrix.view(2, 2, 4, 8)[:, 1].flatten(0, 1)
    for place, (target, condition) in enumerate(
        zip(
            after.targets.view(2, 3, 4, SAMPLES)[:, 2].flatten(0, 1),
            after.condition(latents).view(2, 3, 4, 3, 5)[:, 2].flatten(0, 1),
            strict=True,
        )
    ):
        weight, clip = weights[place].max(dim=0)
        torch.testing.assert_close(target, mixes[place] - weight * before.sources[clip])
        torch.testing.assert_close(condition, latents[8 + place] - weight * latents[clip])
    torch.testing.assert_close(rows[:, :2].flatten(0, 2)[:, :8], before.matrix)
    whole = SubtractionRows(probability=0).rewrite(before, draws(), Module())
    torch.testing.assert_close(whole.targets.view(2, 3, 4, SAMPLES)[:, 2].flatten(0, 1), mixes)


@pytest.mark.parametrize("largest", [0.25, 1 - 2**-24])
def test_a_mix_whose_weight_rounds_to_one_is_a_mix(largest, monkeypatch):
    """0.5 + 0.5 (1 - 2^-24) is 1 in float32: the neighbour's weight is 0, and the row that of a plain clip."""
    uniform = Draws.uniform

    def drawn(self, purpose, rows, *shape):
        numbers = uniform(self, purpose, rows, *shape)
        if purpose == "mix":
            numbers[5] = largest
        return numbers

    monkeypatch.setattr(Draws, "uniform", drawn)
    before = mixture()
    weight = before.matrix.view(2, 2, 4, 8)[1, 1, 1].max()  # of clip 5 in its mix
    assert (weight == 1) == (largest > 0.25)
    after = SubtractionRows().rewrite(before, draws(), Module())
    assert after.matrix.shape == (24, 16)
    remainder = after.targets.view(2, 3, 4, SAMPLES)[1, 2, 1]
    torch.testing.assert_close(remainder, (1 - weight) * before.sources[4], atol=1e-6, rtol=1e-5)


def test_subtraction_does_not_look_at_values(monkeypatch):
    """Whoever asks a tensor on a GPU how many of its values are not 0 waits for all that was queued before."""
    with torch.device("meta"):
        before = Mixture(torch.empty(8, SAMPLES), torch.empty(16, 8))
    monkeypatch.setattr(Draws, "uniform", lambda self, purpose, rows: torch.empty(rows, device="meta"))
    after = SubtractionRows().rewrite(before, draws(), Module())
    assert (after.sources.shape, after.matrix.shape) == ((16, SAMPLES), (24, 16))


def test_subtraction_without_mixes_is_refused():
    plain = Mixture(mixture().sources, torch.eye(8))
    with pytest.raises(RuntimeError, match="no row that mixes clips"):
        SubtractionRows().rewrite(plain, draws(), Module())


def test_plain_rows_are_appended_group_by_group_and_keep_their_level():
    before = mixture().rewritten(3 * mixture().matrix)
    after = PlainRows().rewrite(before, draws(), Module())
    rows = after.matrix.view(2, 3, 4, 8)
    assert torch.equal(rows[:, :2].flatten(0, 2), before.matrix)
    assert torch.equal(rows[:, 2].flatten(0, 1), torch.eye(8))


@pytest.mark.parametrize("k", [2, 3, 4])
def test_k_sources_are_added_to_the_rows_of_their_group(k):
    before = mixture()
    after = own_blocks(KSources(k).rewrite(before, draws(), Module()).matrix)
    assert torch.equal(after[:, :8], own_blocks(before.matrix))
    assert torch.equal(after[:, 8:], k_source_rows((3, 4), k))
    assert after[:, 8:].count_nonzero(dim=2).eq(k).all()
    assert after.sum(dim=2).numpy() == pytest.approx(1)


def test_k_sources_replace_the_mixes_and_keep_the_clips():
    after = own_blocks(KSources(3, rows="replace").rewrite(mixture(), draws(), Module()).matrix)
    assert torch.equal(after[:, :4], torch.eye(GROUP_SIZE).expand(2, -1, -1))
    assert torch.equal(after[:, 4:], k_source_rows((3, 4), 3))


def test_k_sources_beside_plain_clips():
    plain = Mixture(mixture().sources, torch.eye(CLIPS))
    added = KSources(3).rewrite(plain, draws(), Module()).matrix
    assert torch.equal(added, KSources(3, rows="replace").rewrite(mixture(), draws(), Module()).matrix)


def test_more_sources_than_a_group_has_are_refused():
    with pytest.raises(ValueError, match="5 sources need mix groups of 5 clips or more, got 4"):
        KSources(5).rewrite(mixture(), draws(), Module())


# ------------------------------------------------------------------------------------------------------------- baseline


def test_materialize_gives_the_encoder_the_mixes():
    before = mixture()
    after = Materialize().rewrite(before, draws(), Module())
    assert torch.equal(after.sources, before.targets)
    assert torch.equal(after.targets, before.targets)
    assert torch.equal(after.matrix, torch.eye(16))


@pytest.mark.parametrize("late", [KSources(2), Gain(), Polarity(), PeakLimit()], ids=lambda a: type(a).__name__)
def test_nothing_changes_the_matrix_after_materialize(late):
    baseline = Materialize().rewrite(mixture(), draws(), Module())
    if isinstance(late, KSources):  # which needs groups of clips
        baseline = Mixture(baseline.sources[:CLIPS], torch.eye(CLIPS), implicit=False)
    with pytest.raises(RuntimeError, match="Materialize"):
        late.rewrite(baseline, draws(), Module())


# ------------------------------------------------------------------------------------------------------------ the batch


def augmented(groups: tuple[int, ...]) -> Mixture:
    """A batch of these groups after all augmentations, called as a trainer calls them."""
    batch = Batch(mixture(draws(*groups)), draws(*groups))
    for augmentation in (KSources(3), Gain(), Polarity(), PeakLimit(), Materialize()):
        augmentation.on_train_batch_start(SimpleNamespace(), Module(), batch, 0)
    return batch.mixture


def test_a_group_is_augmented_alike_whatever_batch_it_is_in():
    whole, apart = augmented((3, 4)), [augmented((3,)), augmented((4,))]
    assert whole.sources.shape == (24, SAMPLES)
    assert torch.equal(whole.sources, torch.cat([part.sources for part in apart]))
    assert torch.equal(whole.sources, augmented((3, 4)).sources)


# ------------------------------------------------------------------------------------------------------------ the order

IN_ORDER = [KSources(), Gain(), Polarity(), PeakLimit(), Materialize()]


def set_up(augmentations):
    for augmentation in augmentations:
        augmentation.setup(SimpleNamespace(callbacks=list(augmentations)), Module(), "fit")


@pytest.mark.parametrize("pair", permutations(IN_ORDER, 2), ids=lambda pair: "-".join(type(a).__name__ for a in pair))
def test_only_orders_that_follow_the_stages_are_accepted(pair):
    first, second = pair
    if first.stage <= second.stage:
        set_up(pair)
    else:
        message = f"{type(second).__name__} must come before {type(first).__name__}"
        with pytest.raises(MisconfigurationException, match=message):
            set_up(pair)


def test_the_stages():
    assert [a.stage for a in IN_ORDER] == [Stage.MIX, Stage.SCALE, Stage.SCALE, Stage.CAP, Stage.MATERIALIZE]
    set_up(IN_ORDER)


# -------------------------------------------------------------------------------------------------------- real training


class Identity(nn.Module):
    """Latents are frames of audio; remembers what it was to decode, and into what."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def encode(self, audio):
        return self.scale * audio.unflatten(-1, (16, -1))

    def training_loss(self, condition, targets, progress, draws):
        self.seen.append((condition.detach().flatten(1), targets))
        return (condition.flatten(1) - targets).square().mean(dim=1)


class InPlace(ImplicitLinearity):
    """Batches stay where they are made."""

    def transfer_batch_to_device(self, batch, device, dataloader_idx):
        return batch


def train(*augmentations: Augmentation) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Two steps on one batch each; returns what the autoencoder saw."""
    module = InPlace(Identity(), lambda parameters: torch.optim.SGD(parameters, lr=0.0))
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        max_steps=2,
        callbacks=list(augmentations),
    )
    batches = [Batch(mixture(draws(*groups)), draws(*groups)) for groups in ((3, 4), (5, 6))]
    trainer.fit(module, DataLoader(batches, batch_size=None))
    return module.autoencoder.seen


def test_a_trainer_refuses_the_wrong_order():
    with pytest.raises(MisconfigurationException, match="Gain must come before Materialize"):
        train(Materialize(), Gain())


def test_a_trainer_runs_augmentations_in_their_order():
    seen = train(KSources(2), Gain(), PeakLimit(0.1))
    ranges = GainSchedule()(0.0), GainSchedule()(0.5)  # of the first and the second of two steps
    for (condition, targets), groups, gains in zip(seen, ((3, 4), (5, 6)), ranges, strict=True):
        expected = mixture(draws(*groups))
        for augmentation in (KSources(2), Gain(), PeakLimit(0.1)):
            expected = augmentation.rewrite(expected, draws(*groups), Module(*gains))
        torch.testing.assert_close(targets, expected.targets)
        torch.testing.assert_close(condition, expected.targets)  # linear: mixed latents are the latents of mixes


class Differences(Augmentation):
    """A clip without the one after it in its group: what is left when latents are subtracted."""

    stage = Stage.MIX

    def rewrite(self, mixture, draws, module):
        identity = torch.eye(len(mixture.sources))
        neighbours = identity.view(len(draws.groups), -1, len(identity)).roll(-1, dims=1).flatten(0, 1)
        return mixture.rewritten(identity - neighbours)


def test_an_augmentation_of_ones_own():
    seen = train(Differences(), Gain(probability=0))
    for (condition, targets), groups in zip(seen, ((3, 4), (5, 6)), strict=True):
        clips = mixture(draws(*groups)).sources.view(2, GROUP_SIZE, SAMPLES)
        rows = [group[i] - group[(i + 1) % GROUP_SIZE] for group in clips for i in range(GROUP_SIZE)]
        torch.testing.assert_close(targets, torch.stack(rows))
        torch.testing.assert_close(condition, torch.stack(rows))


# ------------------------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize("augmentation", [Gain, Polarity])
@pytest.mark.parametrize("probability", [-0.1, 1.5])
def test_shares_outside_zero_and_one_are_refused(augmentation, probability):
    with pytest.raises(ValueError, match=str(probability)):
        augmentation(probability=probability)


def test_a_mix_of_one_source_is_refused():
    with pytest.raises(ValueError, match="2 sources or more, got 1"):
        KSources(1)


@pytest.mark.parametrize("ceiling", [0.0, -1.0])
def test_a_ceiling_of_nothing_is_refused(ceiling):
    with pytest.raises(ValueError, match=str(ceiling)):
        PeakLimit(ceiling)


def test_the_base_class_rewrites_nothing():
    with pytest.raises(NotImplementedError):
        Augmentation().rewrite(mixture(), draws(), Module())
