"""Training, validation, evaluation and inference on a GPU, as far as they can be seen without one."""

from pathlib import Path

import pytest
import torch
from fake_gpu import GPU, fake_gpu
from lightning.pytorch.loops.evaluation_loop import _EvaluationLoop
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop

from callbacks import Gain
from lincae import Autoencoder
from lincae.autoencoders.consistency import ConsistencyAutoencoder
from lincae.cli.main import main
from lincae.cli.measuring import measure_batch
from lincae.cli.protocols import PROTOCOLS
from lincae.metrics import LogMelStatistics
from lincae.mixing import Batch, CircularShift, Mixture
from lincae.networks.sizes import NetworkSizes
from lincae.step import take_step
from lincae.stft import Spectrogram
from lincae.streams import Draws

TINY = Path(__file__).parents[1] / "configs" / "tiny.yaml"
ALLOWED = {
    # the verdict whether a step is finite, before the weights change
    ("training step", "finite_loss.on_before_optimizer_step"),
    # the decoder's noise, drawn on the host so that it is the same on every device
    ("validation batch", "consistency.sample_noise"),
    ("evaluation", "consistency.sample_noise"),
    # sounds of the first batch, for a logger
    ("validation batch", "audio.on_validation_batch_end"),
    # excerpts as they were read, and their numbers
    ("evaluation", "measuring.measure_batch"),
    # audio from the host to the GPU and back, once for each batch of chunks
    ("inference from the host", "inference._run"),
    ("inference from the host", "chunking.join"),
    # the seed of the noise of a sequence in several chunks, once for each call
    ("inference", "decoding_noise.seed"),
    ("inference from the host", "decoding_noise.seed"),
}
"""Where the host may wait for the GPU: what is running, and the function."""

AUGMENTATIONS = {
    "k_sources": "KSources",
    "match_levels": "MatchLevels",
    "subtraction": "SubtractionRows",
    "polarity": "Polarity",
    "plain_rows": "PlainRows",
}
"""Those that are null in `lincae.yaml`."""


@pytest.fixture
def train(music, tmp_path, monkeypatch):
    """A function that trains `tiny.yaml` on the fake GPU, and gives where the host waited in the second step."""
    monkeypatch.chdir(tmp_path)
    advance, measure = _TrainingEpochLoop.advance, _EvaluationLoop._evaluation_step
    with fake_gpu() as gpu:

        def watched_step(loop, data):
            if loop.global_step != 1:  # in the first the log's metrics are made, at the last the progress bar is drawn
                return advance(loop, data)
            with gpu.watch("training step"):
                return advance(loop, data)

        def watched_batch(loop, *arguments):
            with gpu.watch("validation batch"):
                return measure(loop, *arguments)

        monkeypatch.setattr(_TrainingEpochLoop, "advance", watched_step)
        monkeypatch.setattr(_EvaluationLoop, "_evaluation_step", watched_batch)

        def run(*arguments):
            settings = ["--trainer.accelerator=gpu", "--trainer.devices=1", "--trainer.precision=bf16-mixed"]
            settings += [
                "--model.compile=false",
                "--model.ema.every=2",
                "--trainer.log_every_n_steps=50",
                "--trainer.max_steps=3",
            ]
            main(["fit", "--config", str(TINY), f"--data.train={music}", *settings, *arguments])
            return gpu.waits

        yield run


def test_a_training_with_its_validation(train):
    """With default callbacks, all augmentations, clipping, averaged weights and the progress bar."""
    others = [f"--callbacks.{name}=callbacks.{callback}" for name, callback in AUGMENTATIONS.items()]
    others += [f"--callbacks.homogeneity.init_args.{gains}=[0.5]" for gains in ("headline", "curve")]
    others += ["--callbacks.progress=callbacks.Progress", "--trainer.enable_progress_bar=true"]
    waits = train("--data.steps_per_epoch=3", "--trainer.gradient_clip_val=1.0", *others)
    assert ("training step", "finite_loss.on_before_optimizer_step") in waits
    assert waits <= ALLOWED


@pytest.mark.parametrize("fault", ["another device", "a number that the host asks for"])
def test_a_fault_in_a_callback_is_found(train, monkeypatch, fault):
    rewrite = Gain.rewrite

    def faulty(self, mixture, draws, module):
        if fault == "another device":
            return rewrite(self, mixture.rewritten(mixture.matrix * torch.ones(len(mixture.matrix), 1)), draws, module)
        return rewrite(self, mixture, draws, module) if mixture.matrix.sum() else mixture

    monkeypatch.setattr(Gain, "rewrite", faulty)
    quick = ["--trainer.limit_val_batches=0", "--data.steps_per_epoch=2", "--trainer.max_steps=2"]
    if fault == "another device":
        with pytest.raises(RuntimeError, match="two different devices cuda:0, cpu"):
            train(*quick)
    else:
        assert ("training step", "test_fake_gpu.faulty") in train(*quick)


ASKED = {
    "item": lambda x: x.sum().item(),
    "tolist": lambda x: x.tolist(),
    "float": lambda x: float(x[0]),
    "bool": lambda x: bool((x > 0).any()),
    "if": lambda x: 1 if x[0] > 0 else 2,
    "equal": lambda x: torch.equal(x, x),
    "to the host": lambda x: x.cpu(),
    "onto a tensor of the host": lambda x: torch.zeros(3).copy_(x),
    "a number to the GPU": lambda x: torch.tensor(0.5, device=x.device),
    "a tensor to the GPU": lambda x: torch.ones(3).to(x.device),
    "an index of the host": lambda x: x[torch.tensor([0, 2])],
    "a list as index": lambda x: x[[0, 2]],
}
SHAPED = {
    "mask": lambda x: x[x > 0],
    "masked_select": lambda x: x.masked_select(x > 0),
    "nonzero": lambda x: x.nonzero(),
    "unique": lambda x: x.unique(),
}
QUEUED = {
    "where": lambda x: torch.where(x > 0, x, 0.5),
    "a number": lambda x: 0.5 * x + x.new_zeros(3),
    "made there": lambda x: torch.full((), 0.5, device=x.device) * torch.eye(3, device=x.device),
    "an index of the GPU": lambda x: x[x.argsort()],
    "out of pinned memory": lambda x: torch.ones(3).to(x.device, non_blocking=True),
}


@pytest.mark.parametrize("operation", ASKED)
def test_the_host_waits(operation):
    with fake_gpu() as gpu, gpu.on():
        x = torch.zeros(3, device=GPU)
        with gpu.watch("it"):
            ASKED[operation](x)
    assert gpu.waits == {("it", "test_fake_gpu.<lambda>")}


@pytest.mark.parametrize("operation", SHAPED)
def test_a_shape_that_depends_on_numbers(operation):
    with fake_gpu() as gpu, gpu.on(), pytest.raises(RuntimeError, match="aten"):
        SHAPED[operation](torch.zeros(3, device=GPU))


def test_the_host_does_not_wait():
    with fake_gpu() as gpu, gpu.on():
        x = torch.zeros(3, device=GPU)
        with gpu.watch("it"):
            for operation in QUEUED.values():
                operation(x)
    assert not gpu.waits


def test_gradients_of_the_stand_in_for_the_engine(normal):
    """Those of autograd: shared and repeated inputs, broadcasts, normalisation, attention."""
    network = torch.nn.Sequential(torch.nn.Conv1d(2, 4, 3), torch.nn.GroupNorm(2, 4), torch.nn.Conv1d(4, 4, 1))
    x = normal(3, 2, 10)

    def loss():
        h = network(x).mT[:, None]
        h = torch.nn.functional.scaled_dot_product_attention(h, h, h) + h.mean(dim=-1, keepdim=True)
        return (h.square() + h[:, :, :1]).std()

    expected = torch.autograd.grad(loss(), list(network.parameters()))
    with fake_gpu():
        loss().backward()
    for parameter, gradient in zip(network.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-5, atol=1e-7)


def test_a_step_at_reference_size():
    model = ConsistencyAutoencoder()
    with fake_gpu() as gpu, gpu.on():
        model.to(GPU).to(memory_format=torch.channels_last)
        optimizer = torch.optim.RAdam(model.parameters())
        draws = Draws(0, [0, 1], GPU)
        mixture = Mixture(torch.zeros(4, 34_304, device=GPU), CircularShift()(4, draws))
        with gpu.watch("step"):
            progress = torch.full((), 0.5, device=GPU)
            with torch.autocast("cuda", torch.bfloat16):
                loss = take_step(model, Batch(mixture, draws), progress)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    assert not gpu.waits
    assert {(p.grad.shape, p.grad.device) for p in model.parameters()} == {(p.shape, GPU) for p in model.parameters()}


@pytest.fixture
def tiny():
    sizes = NetworkSizes((8, 8), ((2, 2),), (False, True), 2, 4, 8, 1, 1, 16)
    return ConsistencyAutoencoder(Spectrogram(hop=128, window=512, fold=8), sizes)


def test_evaluation(tiny):
    """All figures of stems, of the model and with its origin moved."""
    measured = PROTOCOLS["stems"].measured([0.5], [0.5, 2.0], [LogMelStatistics()])
    stems = ["drums", "bass", "vocals"]
    with fake_gpu() as gpu, gpu.on(), torch.no_grad():
        tiny.to(GPU)
        for each in measured:
            each.figures.metrics = [table.to(GPU) for table in each.figures.make_metrics(2, stems)]
        with gpu.watch("evaluation"):
            excerpts = {number: torch.zeros(3, 128 * 15 + 512) for number in range(2)}
            measure_batch(tiny, measured, excerpts, list(excerpts.values()), str(GPU))
        assert {table.total.device for each in measured for table in each.figures.metrics} == {GPU}
    assert gpu.waits <= ALLOWED


@pytest.mark.parametrize(("chunk", "place"), [(None, "cuda:0"), (4096, "cuda:0"), (4096, "cpu")])
def test_inference_at_reference_size_and_in_chunks(tiny, place, chunk):
    model = Autoencoder(tiny if chunk else ConsistencyAutoencoder(), 1.0, chunk, dtype=torch.bfloat16, seamless=True)
    with fake_gpu() as gpu, gpu.on():
        model.to(GPU)
        with gpu.watch("inference" if place == "cuda:0" else "inference from the host"):
            audio = torch.zeros(2, 16_384, device=place)
            latents = model.encode(audio)
            decoded = model.decode(latents, full_length=16_384)
    assert (decoded.shape, decoded.device, latents.device) == (audio.shape, torch.device(place), torch.device(place))
    assert gpu.waits <= ALLOWED
