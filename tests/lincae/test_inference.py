"""The object for users, with controls whose decodes are known and with small networks."""

import math
import os

import pytest
import torch
from einops import rearrange
from torch import nn
from torch.nn import functional
from tqdm import tqdm

import lincae
from lincae import Autoencoder
from lincae.autoencoders.consistency import ConsistencyAutoencoder
from lincae.autoencoders.controls import Identity, PowerLawSpectrogram
from lincae.autoencoders.spectral import SpectralAutoencoder
from lincae.framing import Framing
from lincae.stft import Spectrogram

MODES = [(False, False), (False, True), (True, False), (True, True)]


class LinearFrames(PowerLawSpectrogram):
    """An STFT without compression, `stride` frames of which make a latent: linear, local, exact inside its margins."""

    def __init__(self, hop=64, window=256, stride=8):
        super().__init__(Spectrogram(hop, window, alpha=1.0))
        self.stride = stride

    @property
    def framing(self):
        return Framing(self.spectrogram.hop, self.spectrogram.window, self.stride)

    def encode(self, audio):
        frames = super().encode(audio)
        frames = functional.pad(frames, (0, -frames.shape[-1] % self.stride))
        return rearrange(frames, "n d (l k) -> n (d k) l", k=self.stride)

    def decode(self, latents, noise=None, steps=1):
        return super().decode(rearrange(latents, "n (d k) l -> n d (l k)", k=self.stride))


class Watched(nn.Module):
    """Keeps what its autoencoder is given."""

    def __init__(self, autoencoder):
        super().__init__()
        self.inner, self.framing, self.sample_rate = autoencoder, autoencoder.framing, autoencoder.sample_rate
        self.sample_noise = autoencoder.sample_noise
        self.encoded, self.decoded, self.noises = [], [], []

    def encode(self, audio):
        self.encoded.append(tuple(audio.shape))
        return self.inner.encode(audio)

    def decode(self, latents, noise, steps=1):
        self.decoded.append(tuple(latents.shape))
        self.noises.append(noise)
        return self.inner.decode(latents, noise, steps)


@pytest.fixture
def consistency(spectrogram, sizes, awaken):
    return awaken(ConsistencyAutoencoder(spectrogram, sizes))


@pytest.fixture
def spectral(spectrogram, sizes, awaken):
    return awaken(SpectralAutoencoder(spectrogram, sizes))


def snr(found, expected):
    assert found.shape == expected.shape
    return 10 * torch.log10(expected.square().sum() / (found - expected).square().sum()).item()


def tone(samples, hertz=1000):
    """It rises and falls over 32 samples: a step has energy at the Nyquist frequency, which no STFT here keeps."""
    ramp = torch.hann_window(64)[:32]
    envelope = torch.cat([ramp, torch.ones(samples - 64), ramp.flip(0)])
    return 0.5 * envelope * torch.sin(2 * math.pi * hertz / 44_100 * torch.arange(samples))[None]


def published_latents(samples):
    """Of the authors' package, with a hop of 64 samples, a window of 256 and three time strides of 2."""
    frames = (samples - 256) // 64 + 1
    for _ in range(3):
        frames = (frames - 1) // 2 + 1
    return frames


@pytest.mark.parametrize(("seamless", "padded_edges"), MODES)
@pytest.mark.parametrize("max_chunk_size", [None, 2600, 2752])
def test_a_decode_is_as_long_as_what_was_encoded(seamless, padded_edges, max_chunk_size, normal):
    model = Autoencoder(
        LinearFrames(), max_chunk_size=max_chunk_size, seamless=seamless, padded_edges=padded_edges, max_batch_size=9
    )
    for samples in [*range(1, 400, 37), *range(700, 900, 13), *range(2550, 2900, 7), 5000, 7777]:
        latents = model.encode(normal(1, samples))
        assert model.decode(latents, samples).shape == (1, samples)
        if latents.dim() == 3:
            assert latents.shape[-1] == model.latent_length(samples)
            assert model.decode(latents).shape[-1] == model.audio_length(latents.shape[-1])


def test_latents_are_as_many_as_published(spectral, normal):
    model = Autoencoder(spectral)
    for samples in (256, 319, 320, 703, 704, 767, 768, 1216, 1279, 1280, 5000):
        latents = model.encode(normal(1, samples))
        assert latents.shape == (1, 3, published_latents(samples))
        assert model.decode(latents).shape[-1] == (8 * latents.shape[-1] - 1) * 64 + 256


def test_the_last_part_of_a_frame_is_not_seen_and_silent(normal):
    """8 frames of 256 samples every 64 end at sample 704; a frame later begins another latent."""
    model, audio = Autoencoder(LinearFrames()), normal(1, 767)
    latents = model.encode(audio)
    assert torch.equal(latents, model.encode(audio[:, :704]))
    decoded = model.decode(latents, 767)
    assert not decoded[:, 704:].any()
    assert torch.equal(decoded[:, :704], model.decode(latents))
    assert model.encode(normal(1, 768)).shape[-1] == latents.shape[-1] + 1


def test_audio_shorter_than_a_window_ends_in_silence(spectral, normal):
    model, audio = Autoencoder(spectral), normal(1, 100)
    latents = model.encode(audio)
    assert torch.equal(latents, spectral.encode(functional.pad(audio, (0, 156))))
    assert model.decode(latents, 100).shape == (1, 100)


@pytest.mark.parametrize(("seamless", "padded_edges"), MODES)
def test_more_than_was_encoded_is_refused(seamless, padded_edges, normal):
    model = Autoencoder(LinearFrames(), max_chunk_size=2600, seamless=seamless, padded_edges=padded_edges)
    for samples in (500, 2600, 7000):
        latents = model.encode(normal(1, samples))
        with pytest.raises(ValueError, match="full_length is 99999: these latents are of audio of 1 to "):
            model.decode(latents, 99_999)
        with pytest.raises(ValueError, match="full_length is 0"):
            model.decode(latents, 0)


def test_the_longest_is_the_last_with_so_many_latents(normal):
    for padded_edges in (False, True):
        model = Autoencoder(LinearFrames(), padded_edges=padded_edges)
        latents = model.encode(normal(1, 1000))
        longest = model.plan.longest(latents.shape[-1])
        assert model.decode(latents, longest).shape[-1] == longest
        assert model.latent_length(longest) == latents.shape[-1] < model.latent_length(longest + 1)
        with pytest.raises(ValueError, match=f"1 to {longest} samples"):
            model.decode(latents, longest + 1)


@pytest.mark.parametrize("seamless", [False, True])
def test_audio_of_one_chunk_is_as_without_chunks(consistency, seamless, normal):
    whole = Autoencoder(consistency, 3.0)
    chunked = Autoencoder(consistency, 3.0, max_chunk_size=2000, seamless=seamless)
    audio = 0.1 * normal(1, 2000)
    latents = whole.encode(audio)
    assert torch.equal(chunked.encode(audio), latents)
    assert torch.equal(chunked.features(audio), whole.features(audio))
    torch.manual_seed(0)
    decoded = whole.decode(latents, 2000, steps=2)
    torch.manual_seed(0)
    assert torch.equal(chunked.decode(latents, 2000, steps=2), decoded)


@pytest.mark.parametrize("padded_edges", [False, True])
@pytest.mark.parametrize("overlap_percentage", [0.15, 0.25, 0.5])
@pytest.mark.parametrize("samples", [2765, 5000, 8000, 9999])
def test_seamless_chunks_of_a_local_model_are_the_whole(padded_edges, overlap_percentage, samples, normal):
    """Only group normalisation and borders tell chunks from the whole, and this model has neither."""
    whole = Autoencoder(LinearFrames(), 3.0, padded_edges=padded_edges)
    chunked = Autoencoder(LinearFrames(), 3.0, 5000, overlap_percentage, seamless=True, padded_edges=padded_edges)
    audio = normal(2, samples)
    latents = chunked.encode(audio)
    assert snr(latents, whole.encode(audio)) > 120
    assert snr(chunked.decode(latents, samples), whole.decode(latents, samples)) > 120


@pytest.mark.parametrize("overlap_percentage", [0.0, 0.1, 0.25, 0.5])
def test_chunks_that_are_kept_apart_are_joined_exactly_where_edges_are_padded(overlap_percentage):
    model = Autoencoder(LinearFrames(), 3.0, 2600, overlap_percentage, padded_edges=True)
    for samples in (2601, 5000, 9999):
        latents = model.encode(tone(samples))
        assert latents.dim() == 4
        assert snr(model.decode(latents, samples), tone(samples)) > 80


def test_chunks_are_laid_where_they_were_cut(normal):
    """Also where a chunk decodes to fewer samples than it had: 40 frames, 17 samples after the last."""
    model, audio = Autoencoder(LinearFrames(), 3.0, 2769), tone(9000)
    decoded = model.decode(model.encode(audio), 9000)
    step, length = 2769 - 692, 2752
    for start in range(0, 7000, step):
        inside = slice(start + 692, start + length - 692)
        assert snr(decoded[:, inside], audio[:, inside]) > 80


@pytest.mark.parametrize(("seamless", "padded_edges"), MODES)
def test_arithmetic_on_latents_is_arithmetic_on_audio(seamless, padded_edges, normal):
    """With a linear model, on files of one length, whatever the chunks."""
    model = Autoencoder(LinearFrames(), 3.0, 2600, seamless=seamless, padded_edges=padded_edges, max_batch_size=4)
    u, v = normal(2, 1, 7000)
    z = 0.5 * model.encode(u) - 2 * model.encode(v)
    assert snr(z, model.encode(0.5 * u - 2 * v)) > 110
    decoded = 0.5 * model.decode(model.encode(u), 7000) - 2 * model.decode(model.encode(v), 7000)
    assert snr(model.decode(z, 7000), decoded) > 110


def test_files_of_one_length_have_one_grid(spectral, normal):
    """Joining is linear: the difference of two files is that of their chunks, for any model."""
    model = Autoencoder(spectral, max_chunk_size=2000, seamless=True, max_batch_size=3)
    u, v = 0.1 * normal(2, 1, 7000)
    together = model.encode(torch.cat([u, v]))
    torch.testing.assert_close(together, torch.cat([model.encode(u), model.encode(v)]), rtol=0, atol=1e-5)


def test_the_scale_factor_multiplies_latents_and_is_divided_out(consistency, normal):
    plain, scaled = Autoencoder(consistency), Autoencoder(consistency, scale_factor=32.0)
    audio = 0.1 * normal(1, 1500)
    latents = plain.encode(audio)
    assert torch.equal(scaled.encode(audio), 32 * latents)
    noise = plain.sample_noise(latents)
    assert torch.equal(scaled.decode(32 * latents, noise=noise), plain.decode(latents, noise=noise))


@pytest.mark.parametrize("samples", [2048, 4000, 34_304, 40_000, 44_100])
def test_padded_edges_restore_the_whole_signal(samples):
    whole = Autoencoder(PowerLawSpectrogram(), padded_edges=True)
    assert snr(whole.decode(whole.encode(tone(samples)), samples), tone(samples)) > 80
    faded = Autoencoder(PowerLawSpectrogram())
    assert snr(faded.decode(faded.encode(tone(samples)), samples), tone(samples)) < 20


def test_published_edges_are_the_autoencoders_own(consistency, normal):
    model, audio = Autoencoder(consistency), 0.1 * normal(2, 1217)
    model.max_batch_size = 2
    latents = consistency.encode(audio)
    assert torch.equal(model.encode(audio), latents)
    noise = normal(2, 1, 2, 128, 16)
    assert torch.equal(model.decode(latents, noise=noise), consistency.decode(latents, noise))


def test_one_row_without_an_axis(spectral, normal):
    model, audio = Autoencoder(spectral), normal(1, 1000)
    assert torch.equal(model.encode(audio[0]), model.encode(audio))


def test_noise_is_drawn_in_the_published_order(consistency, normal):
    """For each group of `max_batch_size` rows one tensor of torch's global generator per step, and one in vain."""
    model = Autoencoder(consistency, max_batch_size=2)
    latents = 0.5 * normal(3, 3, 2)
    for steps in (1, 3):
        torch.manual_seed(5)
        groups = [[torch.randn(rows, 2, 128, 16) for _ in range(steps + 1)][:steps] for rows in (2, 1)]
        noise = torch.cat([torch.stack(drawn, dim=1) for drawn in groups])
        torch.manual_seed(5)
        assert torch.equal(model.decode(latents, steps=steps), model.decode(latents, steps=steps, noise=noise))


@pytest.mark.parametrize("length", [3, 20])
def test_the_same_seed_gives_the_same_audio(consistency, length, normal):
    model = Autoencoder(consistency, max_chunk_size=2500, seamless=True)
    latents = 0.5 * normal(2, 3, length)
    first, again, other = (model.decode(latents, generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    torch.manual_seed(1)
    assert torch.equal(first, again)
    assert torch.equal(first, model.decode(latents))
    assert snr(first, other) < 6


def test_chunks_hear_the_same_noise_where_they_overlap(consistency, normal):
    """Noise depends on row and place, not on batches; a place's noise is unlike another's."""
    watched = Watched(consistency)
    model = Autoencoder(watched, max_chunk_size=2500, seamless=True, max_batch_size=1)
    latents = 0.5 * normal(2, 3, 13)
    torch.manual_seed(0)
    decoded = model.decode(latents)
    chunks = model.plan.sequence(13)
    assert [(chunk.start, chunk.stop) for chunk in chunks] == [(0, 5), (4, 9), (8, 13)]
    by_row = [
        torch.cat([noise[..., 8 * (i > 0) :] for i, noise in enumerate(watched.noises[k : k + 3])], dim=-1)
        for k in (0, 3)
    ]
    for k in (0, 3):
        first, second, third = watched.noises[k : k + 3]
        assert torch.equal(first[..., 32:], second[..., :8])
        assert torch.equal(second[..., 32:], third[..., :8])
    whole = torch.cat(by_row)
    assert whole.shape == (2, 1, 2, 128, 8 * 13)
    assert whole.std().item() == pytest.approx(1, abs=0.01)
    blocks = rearrange(whole, "n 1 c f (l k) -> (n l) (c f k)", k=8)
    assert torch.corrcoef(blocks).fill_diagonal_(0).abs().max() < 0.15
    torch.testing.assert_close(model.decode(latents, noise=whole), decoded, rtol=0, atol=1e-6)
    model.max_batch_size = 4
    torch.manual_seed(0)
    torch.testing.assert_close(model.decode(latents), decoded, rtol=0, atol=1e-5)


def test_given_noise_of_chunks_goes_to_its_chunk(consistency, normal):
    model = Autoencoder(consistency, max_chunk_size=1216)
    latents, noise = 0.5 * normal(1, 3, 3, 2), normal(1, 3, 1, 2, 128, 16)
    decoded = model.decode(latents, noise=noise)
    second = model.decode(latents[:, 1], noise=noise[:, 1])
    assert torch.equal(decoded[:, 1216:1824], second[:, 304:912])


def test_a_deterministic_model_needs_no_noise(spectral, normal):
    model = Autoencoder(spectral, max_chunk_size=2500, seamless=True)
    latents = 0.5 * normal(1, 3, 13)
    assert model.sample_noise(latents) is None
    assert torch.equal(model.decode(latents), model.decode(latents))


@pytest.mark.parametrize(("seamless", "padded_edges"), MODES)
def test_no_more_than_a_batch_of_chunks_is_in_the_networks(seamless, padded_edges, normal):
    watched = Watched(LinearFrames())
    model = Autoencoder(watched, 1.0, 2600, max_batch_size=3, seamless=seamless, padded_edges=padded_edges)
    latents = model.encode(normal(2, 60_000))
    model.decode(latents, 60_000)
    assert max(rows for rows, _ in watched.encoded) == max(rows for rows, *_ in watched.decoded) == 3
    assert max(samples for _, samples in watched.encoded) <= 2600 + 2 * 192 + 512
    assert max(length for *_, length in watched.decoded) == model.latent_length(2600)


def test_progress_is_told_of_every_batch(spectral, normal, capsys):
    model = Autoencoder(spectral, max_chunk_size=2000, max_batch_size=2)
    told = []

    def progress(parts):
        told.append(len(parts))
        return tqdm(parts, desc="chunks")

    latents = model.encode(normal(1, 7000), progress=progress)
    model.decode(latents, 7000, progress=progress)
    assert latents.shape[1] == 5
    assert told == [3, 3]
    assert "chunks: 100%" in capsys.readouterr().err


@pytest.mark.parametrize("model", ["consistency", "spectral"])
def test_features_are_the_map_before_the_bottleneck(model, request, normal):
    autoencoder = request.getfixturevalue(model)
    user, audio = Autoencoder(autoencoder, scale_factor=9.0, max_batch_size=2), 0.1 * normal(2, 1500)
    features = user.features(audio)
    assert torch.equal(features, autoencoder.encoder.features(autoencoder.spectrogram(audio)))
    assert features.shape == (2, 8 * 4, user.latent_length(1500))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_networks_compute_in_half_precision_and_the_rest_does_not(consistency, dtype, normal):
    full, half = Autoencoder(consistency), Autoencoder(consistency, dtype=dtype)
    audio = 0.1 * normal(1, 1500)
    seen = {}
    consistency.encoder.conv_in.register_forward_hook(lambda _, taken, made: seen.update(taken=taken[0], made=made))
    latents = half.encode(audio)
    assert (seen["taken"].dtype, seen["made"].dtype, latents.dtype) == (torch.float32, dtype, torch.float32)
    assert 25 < snr(latents, full.encode(audio)) < 100
    noise = full.sample_noise(latents)
    decoded = half.decode(latents, noise=noise)
    assert decoded.dtype == torch.float32
    assert snr(decoded, full.decode(latents, noise=noise)) > 20


def test_results_have_no_gradient_and_can_be_trained_on(spectral, normal):
    latents = Autoencoder(spectral).encode(normal(1, 1000))
    assert not latents.requires_grad
    (latents * nn.Parameter(torch.ones(1))).sum().backward()


def test_a_saved_model_is_the_same_bit_by_bit(consistency, tmp_path, normal):
    model, audio = Autoencoder(consistency, scale_factor=33.0), 0.1 * normal(1, 1500)
    model.save_pretrained(tmp_path / "model")
    assert sorted(os.listdir(tmp_path / "model")) == ["README.md", "config.json", "model.safetensors"]
    assert os.listdir(tmp_path) == ["model"]
    again = Autoencoder.from_pretrained(tmp_path / "model", device="cpu")
    assert (again.scale_factor, again.sample_rate, again.framing) == (33.0, 44_100, model.framing)
    latents = model.encode(audio)
    assert torch.equal(again.encode(audio), latents)
    noise = model.sample_noise(latents)
    assert torch.equal(again.decode(latents, 1500, noise=noise), model.decode(latents, 1500, noise=noise))


def test_arguments_reach_the_model(spectral, tmp_path):
    Autoencoder(spectral, scale_factor=33.0).save_pretrained(tmp_path / "model")
    model = Autoencoder.from_pretrained(
        str(tmp_path / "model"), 2.0, 5000, 0.5, 7, "cpu", torch.bfloat16, seamless=True, padded_edges=True
    )
    assert (model.scale_factor, model.max_chunk_size, model.overlap_percentage) == (2.0, 5000, 0.5)
    assert (model.max_batch_size, model.device.type, model.dtype) == (7, "cpu", torch.bfloat16)
    assert model.seamless
    assert model.padded_edges
    assert not model.training


def test_saving_overwrites_nothing_and_leaves_nothing_half(spectral, tmp_path, monkeypatch):
    model = Autoencoder(spectral)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(FileExistsError, match="mine is not empty"):
        model.save_pretrained(tmp_path / "mine")
    (tmp_path / "empty").mkdir()
    model.save_pretrained(tmp_path / "empty")

    def fail(*arguments, **named):
        raise OSError("no space left on device")

    monkeypatch.setattr("lincae.pretrained.save", fail)
    with pytest.raises(OSError, match="no space"):
        model.save_pretrained(tmp_path / "new")
    assert sorted(os.listdir(tmp_path)) == ["empty", "mine"]


def test_what_is_pushed_is_what_is_saved(spectral, tmp_path, monkeypatch):
    uploaded = {}

    class Hub:
        def __init__(self, token=None):
            pass

        def create_repo(self, repo_id, **named):
            return type("Made", (), {"repo_id": repo_id})

        def upload_folder(self, *, repo_id, folder_path, **named):
            model = Autoencoder.from_pretrained(folder_path, device="cpu")
            uploaded.update(repo=repo_id, scale=model.scale_factor, card=(folder_path / "README.md").read_text())

    monkeypatch.setattr("huggingface_hub.hub_mixin.HfApi", Hub)
    Autoencoder(spectral, scale_factor=5.0).push_to_hub("me/model")
    assert (uploaded["repo"], uploaded["scale"]) == ("me/model", 5.0)
    assert "library_name: lincae" in uploaded["card"]
    assert "from lincae import Autoencoder" in uploaded["card"]


CONSTRUCTOR_ERRORS = {
    "overlap": ({"overlap_percentage": 0.6}, r"overlap_percentage must be from 0 to 0\.5, got 0\.6"),
    "chunk": ({"max_chunk_size": 200}, "max_chunk_size must be a window, 256 samples, or more; got 200"),
    "join": (
        {"max_chunk_size": 2600, "overlap_percentage": 0.1, "seamless": True},
        r"is 5 latents and overlap_percentage=0\.1 of it 0: seamless joins need 1 or more",
    ),
    "batch": ({"max_batch_size": 0}, "max_batch_size must be 1 or more, got 0"),
    "scale": ({"scale_factor": 0.0}, r"scale_factor must be a number other than 0, got 0\.0"),
    "dtype": ({"dtype": torch.float64}, r"dtype must be one of .*bfloat16.*, got torch\.float64"),
}


@pytest.mark.parametrize("case", CONSTRUCTOR_ERRORS)
def test_arguments_that_make_no_sense_are_named_at_once_and_later(case):
    arguments, message = CONSTRUCTOR_ERRORS[case]
    with pytest.raises(ValueError, match=message):
        Autoencoder(LinearFrames(), **arguments)
    model = Autoencoder(LinearFrames())
    for name, value in arguments.items():
        setattr(model, name, value)
    with pytest.raises(ValueError, match=message):
        model.encode(torch.zeros(1, 9000))


BAD_AUDIO = {
    "axes": (torch.zeros(1, 1, 500), r"audio must be \(N, T\) or \(T,\)"),
    "as soundfile reads it": (torch.zeros(500, 2), r"\(500, 2\) .*transpose"),
    "empty": (torch.zeros(1, 0), r"got \(1, 0\)"),
    "no rows": (torch.zeros(0, 500), r"got \(0, 500\)"),
    "integers": (torch.zeros(1, 500, dtype=torch.int16), r"floating point, got torch\.int16: divide"),
}


@pytest.mark.parametrize("case", BAD_AUDIO)
def test_audio_that_is_none_is_refused(case):
    audio, message = BAD_AUDIO[case]
    with pytest.raises(ValueError, match=message):
        Autoencoder(LinearFrames()).encode(audio)


def test_latents_of_other_chunks_are_refused(spectral, normal):
    model = Autoencoder(spectral, max_chunk_size=2000)
    latents = model.encode(normal(1, 7000))
    with pytest.raises(ValueError, match=r"latents must be \(N, D, L\) or"):
        model.decode(latents[0, 0])
    for size in (None, 3000):
        model.max_chunk_size = size
        with pytest.raises(ValueError, match=f"4 latents each, which those of max_chunk_size={size} do not"):
            model.decode(latents)


def test_noise_of_another_length_is_refused(consistency, normal):
    with pytest.raises(ValueError, match="noise of 17 frames does not divide among 2 latents"):
        Autoencoder(consistency).decode(normal(1, 3, 2), noise=normal(1, 1, 2, 128, 17))


def test_an_autoencoder_without_a_framing_is_refused():
    with pytest.raises(TypeError, match="Linear has no framing: give it one"):
        Autoencoder(nn.Linear(1, 1))


def test_the_identity_is_exact_but_for_its_last_part_frame(normal):
    model, audio = Autoencoder(Identity(256), 2.0), normal(1, 1000)
    decoded = model.decode(model.encode(audio), 1000)
    assert torch.equal(decoded[:, :768], audio[:, :768])
    model.padded_edges = True
    assert torch.equal(model.decode(model.encode(audio), 1000), audio)


def test_the_package_has_nothing_else():
    assert lincae.Autoencoder is Autoencoder
    with pytest.raises(AttributeError, match="has no attribute 'Autoencoders'"):
        _ = lincae.Autoencoders
