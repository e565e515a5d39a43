"""Files that are not what they should be are refused: which file, and what is wrong with it."""

import io
import os
import re
import zipfile

import numpy as np
import pytest
import torch
import yaml

from lincae.published import read_published
from lincae.published.reading import load_tensors

WEIGHTS = "autoencoder_inference_model_last.pth"
BIAS = "generator.conv_inp.bias"


def assert_refused(path, *words, error=ValueError):
    with pytest.raises(error) as caught:
        read_published(path)
    message = str(caught.value)
    assert [word for word in words if word not in message] == [], message


def without(state, name):
    return {key: value for key, value in state.items() if key != name}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: without(s, BIAS), ["lacks conv_inp.bias"]),
        (
            lambda s: {k: v for k, v in s.items() if ".up_layers." not in k},
            ["lacks decoder.up_layers.0.att.mha.in_proj_bias, ", " and ", " more"],
        ),
        (lambda s: {**s, BIAS: torch.zeros(9)}, ["conv_inp.bias of shape (9,) instead of (8,)"]),
        (lambda s: {**s, BIAS: s[BIAS].long()}, ["conv_inp.bias of type torch.int64"]),
        (lambda s: {**s, BIAS: s[BIAS] / 0}, ["conv_inp.bias that is not finite"]),
        (lambda s: {**s, BIAS: "a word"}, ["conv_inp.bias that is a str"]),
        (lambda s: {**s, "generator.more": torch.zeros(1)}, ["has the unknown more"]),
        (lambda s: {**s, "encoder.more": torch.zeros(1)}, ["has the unknown encoder.more"]),
        (lambda s: without(s, "frontend.window"), ["frontend.window is not a periodic Hann window of 128 samples"]),
        (lambda s: {**s, "frontend.window": torch.hamming_window(128)}, ["frontend.window is not a periodic Hann"]),
        (lambda s: {**s, "frontend.window": torch.hann_window(64)}, ["frontend.window is not a periodic Hann"]),
        (lambda s: list(s.values()), ["holds no tensors by name, but a list"]),
        (lambda s: dict(enumerate(s.values())), ["holds no tensors by name"]),
        (lambda s: {"gen_state_dict": None}, ["holds no tensors by name, but a NoneType"]),
        (lambda s: {"gen_state_dict": {}}, ["lacks conv_decoded.bias, "]),
    ],
)
def test_tensors_that_do_not_fit(small_folder, change, words):
    file = small_folder / WEIGHTS
    torch.save(change(torch.load(file, weights_only=True)), file)
    assert_refused(small_folder, str(file), *words)


def test_tensors_that_are_never_used_may_be_missing_or_of_half_precision(small_folder):
    expected = read_published(small_folder).autoencoder.state_dict()
    state = torch.load(small_folder / WEIGHTS, weights_only=True)
    unused = re.compile(r"generator\.decoder\.bottleneck_layers\.\d\.proj_emb\.")
    torch.save({k: v.half() for k, v in state.items() if not unused.match(k)}, small_folder / WEIGHTS)
    found = read_published(small_folder).autoencoder.state_dict()
    for name, tensor in found.items():
        assert tensor.dtype == torch.float32
        assert tensor.equal(expected[name].half().float()), name


@pytest.mark.parametrize("keep", [0, 1, 1000, 100_000])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_truncated_file(small_folder, keep, zipped):
    file = small_folder / WEIGHTS
    torch.save(torch.load(file, weights_only=True), file, _use_new_zipfile_serialization=zipped)
    file.write_bytes(file.read_bytes()[:keep])
    assert_refused(small_folder, f"{file} ({keep} bytes) is truncated or no file of weights")


def test_a_page_instead_of_weights(small_folder):
    (small_folder / WEIGHTS).write_text("<html>Sign in to download</html>")
    assert_refused(small_folder, WEIGHTS, "(32 bytes) is truncated or no file of weights")


class Code:
    def __reduce__(self):
        return os.mkdir, ("was-run",)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_is_not_run(small_folder, zipped, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = small_folder / WEIGHTS
    state = torch.load(file, weights_only=True)
    torch.save({**state, "code": Code()}, file, _use_new_zipfile_serialization=zipped)
    assert_refused(small_folder, str(file), "asks for posix.mkdir: only tensors and numbers are read, no code")
    assert not (tmp_path / "was-run").exists()


def test_numbers_of_numpy_1_are_read(tmp_path):
    """Music2Latent's file has some: NumPy 1 pickled them under another name than NumPy 2 does."""
    now, then = io.BytesIO(), tmp_path / "then.pt"
    torch.save({"it": np.int64(5), "loss": np.float32(0.5), "best": np.float64(0.25), "a": torch.ones(2)}, now)
    with zipfile.ZipFile(now) as source, zipfile.ZipFile(then, "w") as copy:
        for name in source.namelist():
            copy.writestr(name, source.read(name).replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert b"cnumpy.core.multiarray\nscalar" in then.read_bytes()
    stored = load_tensors(then)
    assert (stored["it"], stored["loss"], stored["best"]) == (5, 0.5, 0.25)
    assert stored["a"].equal(torch.ones(2))


def test_a_place_without_weights(tmp_path):
    assert_refused(
        tmp_path, f"{tmp_path} holds no published weights: expected one of {WEIGHTS}", error=FileNotFoundError
    )
    assert_refused(tmp_path / "nothing.pth", "nothing.pth", error=FileNotFoundError)


def test_a_folder_of_several(small_folder, tmp_path):
    small_folder.rename(tmp_path / "a_weights")
    assert read_published(tmp_path).name == "a_weights"
    (tmp_path / "b_weights").mkdir()
    (tmp_path / "b_weights" / WEIGHTS).touch()
    assert_refused(tmp_path, f"{tmp_path} holds several", f"a_weights/{WEIGHTS}", f"b_weights/{WEIGHTS}")


def test_other_file_names_of_the_same_layout(small_folder):
    """The authors' training writes them without `last`; their classes also ask for other checkpoints than the last."""
    for file in list(small_folder.iterdir()):
        name = file.name.replace("_last", "").replace("_inference_model", "")
        file.rename(small_folder / name)
    assert read_published(small_folder).name == "small"
    for file in list(small_folder.iterdir()):
        name = file.name.replace("autoencoder", "autoencoder_inference_model")
        file.rename(small_folder / name.replace(file.suffix, f"_best{file.suffix}"))
    assert read_published(small_folder / "autoencoder_inference_model_best.pth").name == "small"


def rewrite(folder, section, **changes):
    file = folder / f"{section}_kwargs_last.yaml"
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **changes}))
    return file


@pytest.mark.parametrize(
    ("section", "name", "value", "reason"),
    [
        ("frontend", "n_fft_factor", 8, "only 4 can be read"),
        ("frontend", "hop_size", "64", "expected something like 256"),
        ("frontend", "sample_rate", None, "expected something like 44100"),
        ("frontend", "window", "hamming", "there is no such setting"),
        ("generator", "hop", 64, "only 32 can be read"),
        ("generator", "heads", 2, "only 4 can be read"),
        ("generator", "layers_list", [3, 2, 3], "only [3, 3, 3] can be read"),
        ("generator", "layers_list", [], "expected something like [2, 2, 2, 2, 2]"),
        ("generator", "layers_list_encoder", [1, 1, 2], "only [1, 1, 1] can be read"),
        ("generator", "attention_list_encoder", [0, 0, 1], "only [0, 1, 1] can be read"),
        ("generator", "attention_list", [0, 1, 2], "only [0, 1, 0] can be read"),
        ("generator", "freq_downsample_list", [0, 2], "only [0, 0] can be read"),
        ("generator", "bottleneck_layers", "dynamic", "only None can be read"),
        ("generator", "data_channels", 4, "only 2 can be read"),
        ("generator", "use_fourier", True, "only False can be read"),
        ("generator", "normalization", False, "only True can be read"),
        ("generator", "normalization", 1, "expected something like True"),
        ("generator", "pre_normalize_downsampling_encoder", False, "only True can be read"),
        ("generator", "pre_normalize_2d_to_1d", False, "only True can be read"),
        ("generator", "frequency_scaling", False, "only True can be read"),
        ("generator", "padding_mode", "reflect", "only 'zeros' can be read"),
        ("generator", "sigma_max", 80.0, "only 40.0 can be read"),
        ("generator", "sigma_min", 0.002, "only 0.01 can be read"),
        ("generator", "sigma_data", 0.5, "only 0.7 can be read"),
        ("generator", "activation_bottleneck", "Tanh", "there is no such setting"),
        ("diffusion", "schedule", "constant", "only 'exponential' can be read"),
        ("diffusion", "use_lognormal", False, "only True can be read"),
        ("diffusion", "rho", "seven", "expected something like 7.0"),
    ],
)
def test_settings_that_our_networks_cannot_follow(small_folder, section, name, value, reason):
    file = rewrite(small_folder, section, **{name: value})
    assert_refused(small_folder, f"{file}: {name} is {value!r}", reason)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("cond_channels", 21, "embedding must be even and 4 or more, got 21"),
        ("multipliers_list", [1, 2], "2 widths need 2 attention flags and 1 strides"),
        ("freq_downsample_list", [1], "3 widths need 3 attention flags and 2 strides"),
    ],
)
def test_settings_of_which_no_network_can_be_made(small_folder, name, value, reason):
    rewrite(small_folder, "generator", **{name: value})
    if name == "multipliers_list" and len(value) == 2:
        rewrite(small_folder, "generator", layers_list=[3, 3], layers_list_encoder=[1, 1])
    assert_refused(small_folder, f"the settings beside {small_folder / WEIGHTS} fit no network: {reason}")


def test_noise_levels_of_which_no_schedule_can_be_made(small_folder):
    for section in ("generator", "diffusion"):
        rewrite(small_folder, section, sigma_max=-1.0)
    assert_refused(small_folder, str(small_folder / WEIGHTS), "needs 0 < sigma_min < sigma_max, got 0.01 and -1.0")


def test_settings_of_another_size_than_the_tensors(small_folder):
    rewrite(small_folder, "frontend", hop_size=64)
    rewrite(small_folder, "generator", hop=64)
    file = small_folder / WEIGHTS
    torch.save({**torch.load(file, weights_only=True), "frontend.window": torch.hann_window(256)}, file)
    assert_refused(small_folder, str(file), "conv_out_bottleneck.bias of shape (192,) instead of (384,)")


def test_settings_without_effect_on_trained_weights_are_free(small_folder):
    expected = read_published(small_folder).autoencoder.state_dict()
    rewrite(small_folder, "generator", dropout_rate=0.5, min_res_dropout=4, init_as_zero=False, fourier_scale=1.0)
    rewrite(small_folder, "diffusion", total_iters=None, enable_grad_denoise=None)
    for name, tensor in read_published(small_folder).autoencoder.state_dict().items():
        assert tensor.equal(expected[name])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [1", "is no YAML"),
        ("- 1", "holds no settings by name, but [1]"),
        ("!!python/name:os.mkdir ''", "is no YAML"),
    ],
)
def test_settings_that_cannot_be_read(small_folder, text, words):
    file = small_folder / "diffusion_kwargs_last.yaml"
    file.write_text(text)
    assert_refused(small_folder, str(file), words)


def test_settings_that_are_missing(small_folder):
    file = small_folder / "frontend_kwargs_last.yaml"
    file.unlink()
    assert_refused(small_folder, f"{file} is missing", error=FileNotFoundError)
