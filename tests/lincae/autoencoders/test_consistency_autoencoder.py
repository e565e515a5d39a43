"""Consistency training against its formulas, written out step by step."""

import math

import pytest
import torch
from torch._dynamo.testing import CompileCounter

from lincae.autoencoders.consistency import ConsistencyAutoencoder
from lincae.mixing import Mixture
from lincae.networks.sizes import NetworkSizes
from lincae.schedules import StepSchedule
from lincae.streams import Draws

SAMPLES = 1216  # 16 frames, 2 latents
DRAWS = Draws(11, [4, 7])
PROGRESS = torch.tensor(0.3)


@pytest.fixture
def model(spectrogram, sizes, awaken):
    torch.manual_seed(0)
    return awaken(ConsistencyAutoencoder(spectrogram, sizes))


@pytest.fixture
def condition(normal):
    return 0.5 * normal(4, 3, 2)


@pytest.fixture
def targets(normal):
    return 0.3 * normal(4, SAMPLES, seed=1)


def sigma(index):
    low, high = 0.002 ** (1 / 7), 80 ** (1 / 7)
    return (low + index * (high - low)) ** 7


def consistency_function(model, x, level, condition):
    """F of equations (c_skip, c_out, c_in), with pyramid and connections made afresh."""
    s = level[:, None, None, None]
    c_skip = 0.25 / ((s - 0.002) ** 2 + 0.25)
    c_out = 0.5 * (s - 0.002) / torch.sqrt(0.25 + s**2)
    network = model.denoiser.network
    prediction = network(x / torch.sqrt(s**2 + 0.25), level.log(), network.connect(model.pyramid(condition)))
    return c_skip * x + c_out * prediction


def reference_loss(model, condition, targets, progress, draws, stop_gradient=True):
    clean = model.spectrogram(targets)
    index = model.levels.sample(draws.uniform("noise level", len(targets), 2)).double()
    t_student = sigma(index)
    t_teacher = sigma(torch.clamp(index - 0.1 ** (1 + progress), min=0))
    noise = draws.normal("noise", *clean.shape)
    student, teacher = (
        consistency_function(model, clean + t.float()[:, None, None, None] * noise, t.float(), condition)
        for t in (t_student, t_teacher)
    )
    if stop_gradient:
        teacher = teacher.detach()
    dimension = clean[0].numel()
    c = 0.00054 * math.sqrt(dimension)
    distance = torch.sqrt((student - teacher).square().sum(dim=(1, 2, 3)) + c**2) - c
    return distance / (t_student - t_teacher)


def denoiser_calls(model):
    """Collects (x, sigma) of each call of the denoiser."""
    calls = []
    model.denoiser.register_forward_hook(lambda module, args, result: calls.append(args[:2]))
    return calls


def index_of(level):
    low, high = 0.002 ** (1 / 7), 80 ** (1 / 7)
    return (level.double() ** (1 / 7) - low) / (high - low)


def test_reference_parameter_count():
    with torch.device("meta"):
        model = ConsistencyAutoencoder()
    assert sum(p.numel() for p in model.parameters()) == 57_658_690


@pytest.mark.parametrize("progress", [0.0, 0.3, 1.0])
def test_loss_formula(model, condition, targets, progress):
    losses = model.training_loss(condition, targets, torch.tensor(progress), DRAWS)
    expected = reference_loss(model, condition, targets, progress, DRAWS)
    assert losses.shape == (4,)
    assert losses.dtype == torch.float32
    torch.testing.assert_close(losses, expected.float(), rtol=1e-3, atol=0)


def test_teacher_is_a_constant_to_the_gradient(model, condition, targets):
    condition.requires_grad_()
    inputs = [condition, *model.pyramid.parameters(), *model.denoiser.parameters()]

    def gradient(losses):
        return torch.cat([g.flatten() for g in torch.autograd.grad(losses.sum(), inputs)])

    got = gradient(model.training_loss(condition, targets, PROGRESS, DRAWS))
    constant = gradient(reference_loss(model, condition, targets, 0.3, DRAWS))
    through = gradient(reference_loss(model, condition, targets, 0.3, DRAWS, stop_gradient=False))
    assert (got - constant).norm() < 1e-3 * constant.norm()
    assert (got - through).norm() > 0.1 * constant.norm()


def test_two_levels_come_closer_over_training(model, condition, targets):
    calls = denoiser_calls(model)
    for progress in (0.0, 0.5, 1.0):
        model.training_loss(condition, targets, torch.tensor(progress), DRAWS)
        (_, student), (_, teacher) = calls[-2:]
        distance = index_of(student) - index_of(teacher)
        expected = index_of(student).clamp_max(0.1 ** (1 + progress))  # the teacher's index stops at 0
        torch.testing.assert_close(distance, expected, rtol=1e-3, atol=1e-6)


def test_teacher_of_a_low_level_is_at_the_lowest(model, normal):
    """Some of 100 rows have an index below a step of 0.1: their teachers are at sigma_min, and losses finite."""
    calls = denoiser_calls(model)
    draws = Draws(0, [0])
    losses = model.training_loss(0.5 * normal(100, 3, 1), 0.3 * normal(100, 704), torch.tensor(0.0), draws)
    (_, student), (_, teacher) = calls
    low = index_of(student) < 0.1
    assert low.any()
    torch.testing.assert_close(teacher[low], torch.full_like(teacher[low], 0.002))
    assert (teacher < student).all()
    assert losses.isfinite().all()


def test_student_and_teacher_share_their_noise(model, condition, targets):
    calls = denoiser_calls(model)
    model.training_loss(condition, targets, PROGRESS, DRAWS)
    clean = model.spectrogram(targets)
    student, teacher = ((x - clean) / level[:, None, None, None] for x, level in calls)
    torch.testing.assert_close(student, teacher, rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(student.std().item(), 1.0, rtol=0.02, atol=0)


def test_loss_of_a_row_depends_on_its_own_group_alone(model, condition, targets):
    together = model.training_loss(condition, targets, PROGRESS, Draws(11, [4, 7]))
    alone = model.training_loss(condition[2:], targets[2:], PROGRESS, Draws(11, [7]))
    torch.testing.assert_close(together[2:], alone, rtol=1e-3, atol=0)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_every_parameter_learns(model, normal, precision):
    mixture = Mixture(0.3 * normal(2, SAMPLES), torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.7, 0.3], [0.0, 0.5]]))
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16"):
        latents = model.encode(mixture.sources)
        losses = model.training_loss(mixture.condition(latents), mixture.targets, PROGRESS, DRAWS)
    assert latents.dtype == losses.dtype == torch.float32
    losses.mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_all_but_the_network_is_float32_under_autocast(spectrogram, sizes, condition, targets):
    """A new network predicts zero, so nothing of what is left may differ by a bit."""
    model = ConsistencyAutoencoder(spectrogram, sizes)
    full = model.training_loss(condition, targets, PROGRESS, DRAWS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = model.training_loss(condition, targets, PROGRESS, DRAWS)
    assert full.min() > 0
    torch.testing.assert_close(mixed, full, rtol=0, atol=0)


def test_silent_rows_have_finite_gradients(model):
    model.training_loss(torch.zeros(2, 3, 2), torch.zeros(2, SAMPLES), PROGRESS, DRAWS).sum().backward()
    assert all(p.grad.isfinite().all() for p in model.denoiser.parameters())


def test_frames_must_fill_whole_latents(model, condition, normal):
    with pytest.raises(ValueError, match=r"1280 samples are 17 STFT frames, not a multiple .* stride 8"):
        model.training_loss(condition, normal(4, 1280), PROGRESS, DRAWS)


@pytest.mark.parametrize("frames", [1, 8, 11, 16])
def test_lengths(model, normal, frames):
    """A decode spans 8 frames per latent: at least as long as a clip of whole frames."""
    audio = 0.3 * normal(1, model.spectrogram.samples(frames))
    latents = model.encode(audio)
    assert latents.shape == (1, 3, math.ceil(frames / 8))
    decoded = model.decode(latents, model.sample_noise(latents, Draws(0, [0])))
    assert decoded.shape == (1, model.spectrogram.samples(8 * math.ceil(frames / 8)))
    assert decoded.shape[1] >= audio.shape[1]


def test_decode_is_the_inverse_of_one_denoiser_call(model, condition, normal):
    noise = normal(4, 1, 2, 128, 16)
    start = 80 * noise[:, 0]
    estimate = consistency_function(model, start, torch.full((4,), 80.0), condition)
    expected = model.spectrogram.inverse(estimate)
    assert (model.decode(condition, noise) - expected).norm() < 1e-3 * expected.norm()


@pytest.mark.parametrize("steps", [1, 2])
def test_decode_is_a_function_of_latents_and_noise(model, condition, normal, steps):
    noise = normal(4, steps, 2, 128, 16)
    torch.manual_seed(1)
    first = model.decode(condition, noise, steps)
    torch.manual_seed(2)
    torch.testing.assert_close(model.decode(condition, noise, steps), first, rtol=0, atol=0)
    assert not torch.allclose(model.decode(condition, noise.flip(-1), steps), first)
    assert not torch.allclose(model.decode(condition.flip(-1), noise, steps), first)


def test_noise_is_standard_normal_and_belongs_to_the_clip(model, condition):
    noise = model.sample_noise(condition[:3], Draws(0, [5, 2, 9]), steps=2)
    assert noise.shape == (3, 2, 2, 128, 16)
    assert noise.std().item() == pytest.approx(1, abs=0.02)
    for row, clip in enumerate([5, 2, 9]):
        alone = model.sample_noise(condition[:1], Draws(0, [clip]), steps=2)
        torch.testing.assert_close(noise[row], alone[0], rtol=0, atol=0)
    assert not torch.allclose(noise[0], noise[1])


def test_noise_for_another_number_of_steps_is_an_error(model, condition):
    noise = model.sample_noise(condition, DRAWS, steps=2)
    with pytest.raises(ValueError, match="noise is for 2 decoding steps, not 1"):
        model.decode(condition, noise)


def test_step_schedule_is_what_the_log_shows(spectrogram, sizes):
    model = ConsistencyAutoencoder(spectrogram, sizes, step=StepSchedule(end=3.0))
    assert model.schedules(0.5) == {"step_size": pytest.approx(0.01)}


def test_margin_and_rate(model, spectrogram):
    assert (model.margin, model.sample_rate) == (spectrogram.margin, 44_100)


def test_progress_does_not_recompile(spectrogram, awaken, condition, targets):
    torch._dynamo.reset()
    torch.manual_seed(0)
    sizes = NetworkSizes(
        widths=(4, 8), strides=((4, 8),), attention=(False, True), heads=2, latents=3,
        bottleneck=8, bottleneck_blocks=1, unet_blocks=1, embedding=16,
    )  # fmt: skip
    model = awaken(ConsistencyAutoencoder(spectrogram, sizes))
    plain = [model.training_loss(condition, targets, torch.tensor(p), DRAWS) for p in (0.1, 0.5, 0.9)]
    counter = CompileCounter()
    for network in model.children():
        network.compile(backend=counter)
    graphs = []
    for progress, expected in zip((0.1, 0.5, 0.9), plain, strict=True):
        losses = model.training_loss(condition, targets, torch.tensor(progress), DRAWS)
        torch.testing.assert_close(losses, expected, rtol=1e-3, atol=0)
        graphs.append(counter.frame_count)
    assert graphs[0] == graphs[-1] > 0
