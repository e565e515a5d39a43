"""Figure callbacks, run by a trainer on toy autoencoders whose figures are known."""

import math

import pytest
import torch
from lightning.pytorch import LightningDataModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchaudio.functional import resample

from callbacks import (
    AdditivityFigures,
    EmbeddingFigures,
    HomogeneityFigures,
    ReconstructionFigures,
    SeparationFigures,
)
from lincae.ema import EMA
from lincae.evaluation import NOISE_SEED
from lincae.metrics import CURVE_GAINS, HEADLINE_GAINS, LogMelStatistics, multi_scale_spectral, signal_to_noise
from lincae.mixing import Batch, Mixture
from lincae.module import ImplicitLinearity
from lincae.schedules import LearningRateSchedule
from lincae.streams import Draws

torch.set_num_threads(1)  # small tensors: more threads only wait for each other

CLIPS, TRACKS, STEMS, SAMPLES, FRAME = 2, 2, ("drums", "bass", "other"), 2048, 16


def audio(*shape: int, seed: int = 0) -> Tensor:
    """Noise on a grid of 2^-12, so that sums of it are exact in float32."""
    noise = 0.3 * torch.randn(*shape, SAMPLES, generator=torch.Generator().manual_seed(seed))
    return (noise * 2**12).round() / 2**12


class Toy(nn.Module):
    """Latents are frames of audio, and a decode is its latents: the identity. Toys below change one thing about it."""

    sample_rate = 8000
    margin = 0

    def encode(self, audio: Tensor) -> Tensor:
        return audio.unflatten(-1, (FRAME, -1))

    def sample_noise(self, latents: Tensor, draws: Draws, steps: int = 1) -> Tensor | None:
        return None

    def decode(self, latents: Tensor, noise: Tensor | None, steps: int = 1) -> Tensor:
        return latents.flatten(1)


class Half(Toy):
    """Linear, but decodes at half the level."""

    def decode(self, latents, noise, steps=1):
        return 0.5 * latents.flatten(1)


class Deaf(Toy):
    """Ignores gain on both sides."""

    def encode(self, audio):
        return super().encode(audio / audio.abs().amax(dim=1, keepdim=True))

    def decode(self, latents, noise, steps=1):
        latents = latents.flatten(1)
        return latents / latents.abs().amax(dim=1, keepdim=True)


class Affine(Toy):
    """An encoder with an offset."""

    def encode(self, audio):
        return super().encode(audio) + 0.1


class Constant(Toy):
    """A decoder that ignores its latents."""

    def decode(self, latents, noise, steps=1):
        return audio(1, seed=5).expand(len(latents), -1)


class Noisy(Toy):
    """A decoder with noise of its own."""

    def sample_noise(self, latents, draws, steps=1):
        return draws.normal("noise", *latents.shape)

    def decode(self, latents, noise, steps=1):
        return (latents + 0.7 * noise).flatten(1)


class Faded(Toy):
    """Decodes zeros at the edges, and more samples than it was given."""

    margin = 256

    def decode(self, latents, noise, steps=1):
        decoded = latents.flatten(1).clone()
        decoded[:, :256] = decoded[:, -256:] = 0
        return nn.functional.pad(decoded, (0, 300))


class Data(LightningDataModule):
    """Clips and tracks for validation."""

    def __init__(self, batch_size: int = CLIPS) -> None:
        super().__init__()
        self.validation_clips, self.validation_tracks, self.stems = CLIPS, TRACKS, STEMS
        self.batch_size = batch_size

    def val_dataloader(self) -> list[DataLoader]:
        sounds = audio(CLIPS)
        clips = [{"audio": sounds[i], "other": sounds[i - 1], "index": i} for i in range(CLIPS)]
        tracks = [{"stems": stems, "index": i} for i, stems in enumerate(audio(TRACKS, len(STEMS), seed=1))]
        return [DataLoader(examples, self.batch_size) for examples in (clips, tracks)]


def figures(
    autoencoder: nn.Module, *callbacks, data: LightningDataModule | None = None, **settings
) -> dict[str, float]:
    """What the callbacks log in one validation; all of them by default."""
    everything = (ReconstructionFigures(), HomogeneityFigures(), AdditivityFigures(), SeparationFigures())
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=list(callbacks or everything),
        **settings,
    )
    trainer.validate(ImplicitLinearity(autoencoder), data or Data(), verbose=False)
    return {name: value.item() for name, value in trainer.callback_metrics.items()}


def gain_mss(gain: float) -> float:
    """MSS of a sound against itself at another level."""
    return abs(gain - 1) + abs(math.log(gain))


# --------------------------------------------------------------------------------------------------------- linear toys


def test_a_linear_autoencoder_is_perfect():
    scores = figures(Toy())
    errors = [name for name in scores if name.startswith("val/encoder/")]
    distances = [name for name in scores if "mss" in name and "shuffled" not in name and "floor" not in name]
    ratios = [name for name in scores if name.startswith("val/decoder") and "snr" in name]
    assert len(errors) == 2 + len(CURVE_GAINS)
    assert len(distances) == 1 + 3 + 1 + len(CURVE_GAINS) + 2 * (1 + len(STEMS))
    assert len(ratios) == 3 + 1 + len(CURVE_GAINS)
    assert {name: scores[name] for name in errors + distances} == dict.fromkeys(errors + distances, 0)
    for name in [*ratios, "val/reconstruction/snr", "val/reconstruction/si_sdr", "val/separation/si_sdr"]:
        assert 100 < scores[name] < math.inf, name


def test_a_linear_autoencoder_at_half_the_level():
    scores = figures(Half())
    for name in ("reconstruction/mss", "decoder/additivity_mss", "separation/mss", "separation/bass_mss"):
        assert scores[f"val/{name}"] == pytest.approx(gain_mss(0.5), abs=1e-3), name
    for name in ("reconstruction/snr", "decoder/additivity_snr"):
        assert scores[f"val/{name}"] == pytest.approx(20 * math.log10(2), abs=1e-3), name
    for name in ("decoder/homogeneity_mss", "decoder/additivity_self_mss", "decoder/additivity_sum_mss"):
        assert scores[f"val/{name}"] == 0, name
    assert scores["val/encoder/homogeneity_error"] == scores["val/encoder/additivity_error"] == 0
    assert scores["val/separation/si_sdr"] > 100  # blind to level


def test_margins_are_left_out_and_lengths_cut():
    scores = figures(Faded())
    for name in ("reconstruction/mss", "decoder/homogeneity_mss", "decoder/additivity_mss", "separation/mss"):
        assert scores[f"val/{name}"] == 0, name


# --------------------------------------------------------------------------------------------------- toys that are not


def test_an_autoencoder_that_ignores_gain():
    scores = figures(Deaf(), HomogeneityFigures())
    assert scores["val/encoder/homogeneity_error"] == pytest.approx(1.106, abs=1e-3)
    assert scores["val/decoder/homogeneity_mss"] == pytest.approx(1.722, abs=1e-3)
    for gain in CURVE_GAINS:
        assert scores[f"val/encoder/homogeneity_error/a{gain:.2f}"] == pytest.approx(abs(1 - gain) / gain, abs=1e-4)
        assert scores[f"val/decoder/homogeneity_mss/a{gain:.2f}"] == pytest.approx(gain_mss(1 / gain), abs=2e-2)


def test_gains_of_ones_own():
    scores = figures(Deaf(), HomogeneityFigures(headline=[0.5, 2.0], curve=[0.5, 1.0, 2.0]))
    assert scores["val/encoder/homogeneity_error"] == pytest.approx((1 + 0.5) / 2, abs=1e-5)
    assert {name.split("/a")[1] for name in scores if "/a" in name} == {"0.50", "1.00", "2.00"}


def test_an_encoder_with_an_offset():
    """Each of three stems has the offset, and so has the mix: two too many."""
    mix = audio(TRACKS, len(STEMS), seed=1).sum(dim=1).double()
    size = 0.1 * math.sqrt(SAMPLES)
    norms = (mix + 0.1).norm(dim=1)
    scores = figures(Affine(), AdditivityFigures())
    assert scores["val/encoder/additivity_error"] == pytest.approx((2 * size / norms).mean().item(), rel=1e-5)
    # Dec(sum of latents) has three offsets, Dec(Enc(mix)) one, the mix itself none
    expected = {
        "additivity": 20 * (mix.norm(dim=1) / (3 * size)).log10(),
        "additivity_self": 20 * (norms / (2 * size)).log10(),
    }
    for name, snr in expected.items():
        assert scores[f"val/decoder/{name}_snr"] == pytest.approx(snr.mean().item(), abs=1e-4)
    assert scores["val/decoder/additivity_sum_mss"] == 0


def test_separation_takes_one_stem_out_of_the_mix():
    """Enc(mix) - Enc(mix - stem) is linear in the stem whatever the encoder's offset."""
    scores = figures(Affine(), SeparationFigures())
    assert [scores[f"val/separation/{stem}_mss"] for stem in STEMS] == pytest.approx([0, 0, 0], abs=1e-4)
    scores = figures(Constant(), SeparationFigures())
    stems, constant = audio(TRACKS, len(STEMS), seed=1), audio(1, seed=5).expand(TRACKS, -1)
    for k, stem in enumerate(STEMS):
        expected = multi_scale_spectral(constant, stems[:, k]).mean().item()
        assert scores[f"val/separation/{stem}_mss"] == pytest.approx(expected, rel=1e-5)


# ------------------------------------------------------------------------------------------------------------ controls


def test_latents_of_another_clip():
    clips = audio(CLIPS)
    scores = figures(Toy(), ReconstructionFigures())
    assert scores["val/shuffled/mss"] == pytest.approx(multi_scale_spectral(clips.roll(1, 0), clips).mean().item())
    assert scores["val/shuffled/snr"] == pytest.approx(signal_to_noise(clips.roll(1, 0), clips).mean().item())


def test_a_decoder_that_ignores_its_latents_is_found_out():
    """It looks perfectly additive to itself, and scores no worse with another clip's latents."""
    scores = figures(Constant())
    assert scores["val/decoder/additivity_self_mss"] == 0
    for figure in ("mss", "snr"):
        assert scores[f"val/shuffled/{figure}"] == scores[f"val/reconstruction/{figure}"]


def test_decodes_of_a_clip_share_their_noise():
    scores = figures(Noisy(), HomogeneityFigures())
    assert scores["val/decoder/homogeneity_mss/a1.00"] == 0
    assert scores["val/decoder/homogeneity_snr/a1.00"] > 100
    # a z + 0.7 n against a z + 0.7 a n: an SNR of |a z + 0.7 a n|^2 / |0.7 (1 - a) n|^2
    clips, noise = audio(CLIPS).double(), 0.7 * Draws(NOISE_SEED, range(CLIPS)).normal("noise", CLIPS, SAMPLES).double()
    for gain in HEADLINE_GAINS:
        power, error = (gain * (clips + noise)).norm(dim=1), ((1 - gain) * noise).norm(dim=1)
        expected = (20 * (power / error).log10()).mean().item()
        assert scores[f"val/decoder/homogeneity_snr/a{gain:.2f}"] == pytest.approx(expected, abs=0.01)


def test_the_noise_floor_compares_two_noises():
    scores = figures(Noisy(), ReconstructionFigures())
    noises = [
        0.7 * Draws(NOISE_SEED + repeat, range(CLIPS)).normal("noise", CLIPS, SAMPLES).view(CLIPS, FRAME, -1).flatten(1)
        for repeat in (0, 1)
    ]
    first, second = (audio(CLIPS) + noise for noise in noises)
    assert scores["val/floor/snr"] == pytest.approx(signal_to_noise(second, first).mean().item(), abs=1e-4)
    assert scores["val/floor/mss"] == pytest.approx(multi_scale_spectral(second, first).mean().item(), rel=1e-5)
    assert scores["val/reconstruction/snr"] == pytest.approx(signal_to_noise(first, audio(CLIPS)).mean().item())


@pytest.mark.filterwarnings("ignore:FAD of")
def test_distances_of_sets_are_logged_under_the_embeddings_name():
    assert set(figures(Toy(), EmbeddingFigures())) == {"val/kad_logmel", "val/fad_logmel"}


@pytest.mark.filterwarnings("ignore:FAD of")
def test_embeddings_are_of_audio_at_the_models_rate():
    """At another rate the network would hear another pitch, and nothing else would tell."""
    embedding = EmbeddingFigures()
    figures(Half(), embedding)
    heard = resample(audio(CLIPS), Half.sample_rate, LogMelStatistics.sample_rate)
    for table, level in zip(embedding.metrics, (1, 0.5), strict=True):
        torch.testing.assert_close(table.embeddings(), LogMelStatistics()(level * heard).double())


def test_originals_that_are_all_the_same_have_no_distances():
    embedding = EmbeddingFigures()
    embedding.metrics = embedding.make_metrics(3, ())
    for metric in embedding.metrics:
        metric.update(audio(1).expand(3, -1), torch.arange(3), Toy.sample_rate)
    with pytest.warns(UserWarning, match="no distances in the space of logmel: the median distance"):
        assert embedding.compute() == {}
    with pytest.warns(UserWarning, match="no distances"):
        assert embedding.summaries(torch.arange(3)) == {}


def test_one_clip_has_no_distances_and_no_warning(recwarn):
    embedding = EmbeddingFigures()
    embedding.metrics = embedding.make_metrics(3, ())
    for metric in embedding.metrics:
        metric.update(audio(1), torch.tensor([1]), Toy.sample_rate)
    assert embedding.compute() == embedding.summaries(torch.arange(3)) == {}
    assert not recwarn.list


def test_figures_do_not_depend_on_the_batch_size():
    whole, alone = figures(Noisy()), figures(Noisy(), data=Data(batch_size=1))
    assert whole.keys() == alone.keys()
    compared = [name for name in whole if whole[name] < 100]
    assert len(compared) > 20
    assert [alone[name] for name in compared] == pytest.approx([whole[name] for name in compared], rel=1e-4)


# ---------------------------------------------------------------------------------------------------- within a training


class Level(Toy):
    """A decoder whose level is trained, upwards by a known amount for each step."""

    def __init__(self):
        super().__init__()
        self.level = nn.Parameter(torch.ones(()))

    def decode(self, latents, noise, steps=1):
        return self.level * latents.flatten(1)

    def training_loss(self, condition, targets, progress, draws):
        return -self.level.expand(len(targets))


class TrainedData(Data):
    def train_dataloader(self):
        batches = [Batch(Mixture(audio(1), torch.eye(1)), Draws(0, [step])) for step in range(4)]
        return DataLoader(batches, batch_size=None)

    def transfer_batch_to_device(self, batch, device, dataloader_idx):
        return batch


def test_figures_are_of_the_averaged_weights_and_of_the_last_validation_alone():
    module = ImplicitLinearity(
        Level(),
        lambda parameters: torch.optim.SGD(parameters, lr=0.1),
        learning_rate_schedule=LearningRateSchedule(warmup=0.0, final=1.0),
        ema=EMA(decay=0.9, every=4),
    )
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        max_steps=8,
        callbacks=[ReconstructionFigures(), SeparationFigures()],
    )
    trainer.fit(module, TrainedData())
    assert module.autoencoder.level.item() == pytest.approx(1.8)  # 0.1 more after each of 8 steps
    average = 2 / 11 * 1 + 9 / 11 * 1.4
    average = 3 / 12 * average + 9 / 12 * 1.8
    for name in ("val/reconstruction/mss", "val/separation/mss"):
        assert trainer.callback_metrics[name].item() == pytest.approx(gain_mss(average), abs=1e-3)


class Matrix(Toy):
    """A decoder with a matrix product, which autocast takes in bfloat16."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.weight = nn.Parameter(torch.linalg.qr(torch.randn(FRAME, FRAME, generator=generator)).Q)

    def encode(self, audio):
        return (self.weight @ super().encode(audio)).float()

    def decode(self, latents, noise, steps=1):
        return (self.weight.T @ latents).float().flatten(1)


def test_all_decodes_of_a_clip_have_the_same_precision():
    """What a training in mixed precision compares at a = 1, or to itself, must be the same decode."""
    scores = figures(Matrix(), HomogeneityFigures(), precision="bf16-mixed")
    assert scores["val/encoder/homogeneity_error/a1.00"] == 0
    assert scores["val/decoder/homogeneity_mss/a1.00"] == 0
    assert scores["val/decoder/homogeneity_snr/a1.00"] > 100
