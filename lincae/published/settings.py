"""The published settings in our terms, and back.

A description is a flat dictionary of what makes our autoencoder what it is. Settings that our networks cannot follow
are found by going there and back: what does not come back as it was has no counterpart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lincae.autoencoders.consistency import ConsistencyAutoencoder
from lincae.consistency.noise_levels import NoiseLevels
from lincae.networks.sizes import NetworkSizes
from lincae.schedules import StepSchedule
from lincae.stft import Spectrogram
from lincae.yaml_files import read_yaml

Settings = dict[str, dict[str, Any]]

DEFAULTS: Settings = {
    "frontend": {"hop_size": 256, "n_fft_factor": 4, "alpha_rescale": 0.3, "beta_rescale": 1.5, "sample_rate": 44_100},
    "generator": {
        "base_channels": 64,
        "layers_list": [2, 2, 2, 2, 2],
        "multipliers_list": [1, 2, 4, 4, 4],
        "attention_list": [0, 0, 1, 1, 1],
        "freq_downsample_list": [1, 0, 0, 0],
        "layers_list_encoder": [1, 1, 1, 1, 1],
        "attention_list_encoder": [0, 0, 1, 1, 1],
        "bottleneck_base_channels": 512,
        "bottleneck_channels": 64,
        "num_bottleneck_layers": 4,
        "bottleneck_layers": None,
        "hop": 256,
        "data_channels": 2,
        "cond_channels": 256,
        "heads": 4,
        "use_fourier": False,
        "fourier_scale": 0.2,
        "normalization": True,
        "dropout_rate": 0.0,
        "min_res_dropout": 16,
        "pre_normalize_downsampling_encoder": True,
        "pre_normalize_2d_to_1d": True,
        "frequency_scaling": True,
        "sigma_min": 0.002,
        "sigma_max": 80.0,
        "sigma_data": 0.5,
        "init_as_zero": True,
        "padding_mode": "zeros",
    },
    "diffusion": {
        "schedule": "exponential",
        "start_exp": 1.0,
        "end_exp": 3.0,
        "base_step": 0.1,
        "sigma_min": 0.002,
        "sigma_max": 80.0,
        "rho": 7.0,
        "p_mean": -1.1,
        "p_std": 2.0,
        "sigma_data": 0.5,
        "use_lognormal": True,
        "total_iters": None,
        "enable_grad_denoise": False,
    },
}
"""What linear-cae 0.1.4 takes where a setting is missing, but for the sample rate, which it then does not know."""

SAME = {
    "generator": {
        "hop": "hop",
        "bottleneck_base_channels": "bottleneck",
        "bottleneck_channels": "latents",
        "num_bottleneck_layers": "bottleneck_blocks",
        "cond_channels": "embedding",
        "heads": "heads",
        "sigma_min": "sigma_min",
        "sigma_max": "sigma_max",
        "sigma_data": "sigma_data",
    },
    "frontend": {"hop_size": "hop", "alpha_rescale": "alpha", "beta_rescale": "beta", "sample_rate": "sample_rate"},
    "diffusion": {
        "start_exp": "start",
        "end_exp": "end",
        "base_step": "base",
        "sigma_min": "sigma_min",
        "sigma_max": "sigma_max",
        "rho": "rho",
        "p_mean": "mean",
        "p_std": "std",
        "sigma_data": "sigma_data",
    },
}
"""Their settings whose values are ours, under our names."""

FREE = {"base_channels", "multipliers_list"}
"""Of which only the product matters."""

WITHOUT_EFFECT = {
    "dropout_rate",
    "min_res_dropout",
    "init_as_zero",
    "fourier_scale",
    "total_iters",
    "enable_grad_denoise",
}
"""On what trained weights compute in evaluation mode. Any value is read; the default is written."""


def describe(autoencoder: ConsistencyAutoencoder) -> dict[str, Any]:
    """What makes an autoencoder what it is, apart from its weights."""
    spectrogram, levels = autoencoder.spectrogram, autoencoder.levels
    return {
        **{name: getattr(spectrogram, name) for name in ("hop", "window", "alpha", "beta", "fold")},
        **asdict(autoencoder.sizes),
        **{name: getattr(levels, name) for name in ("sigma_min", "sigma_max", "rho", "mean", "std")},
        **asdict(autoencoder.step),
        "sigma_data": autoencoder.denoiser.sigma_data,
        "sample_rate": autoencoder.sample_rate,
    }


def build(description: Mapping[str, Any]) -> ConsistencyAutoencoder:
    """An autoencoder with new weights."""

    def some(*names: str) -> dict[str, Any]:
        return {name: description[name] for name in names}

    return ConsistencyAutoencoder(
        Spectrogram(**some("hop", "window", "alpha", "beta", "fold")),
        NetworkSizes(**some(*NetworkSizes.__dataclass_fields__)),
        NoiseLevels(**some("sigma_min", "sigma_max", "rho", "mean", "std")),
        StepSchedule(**some(*StepSchedule.__dataclass_fields__)),
        **some("sigma_data", "sample_rate"),
    )


def description_of(settings: Settings) -> dict[str, Any]:
    """Complete settings in our terms. Where two settings say the same, the later in `SAME` is taken."""
    frontend, generator = settings["frontend"], settings["generator"]
    return {
        **{ours: settings[section][name] for section, names in SAME.items() for name, ours in names.items()},
        "window": frontend["hop_size"] * frontend["n_fft_factor"],
        "fold": 1,
        "widths": tuple(generator["base_channels"] * factor for factor in generator["multipliers_list"]),
        "strides": tuple((4, 1) if alone == 1 else (2, 2) for alone in generator["freq_downsample_list"]),
        "attention": tuple(flag == 1 for flag in generator["attention_list"]),
        "unet_blocks": generator["layers_list"][0],
    }


def settings_of(description: Mapping[str, Any]) -> Settings:
    """The settings that come nearest to a description; their encoder and decoder always have four heads."""
    widths, attention = description["widths"], [int(flag) for flag in description["attention"]]
    base = max(math.gcd(*widths), 1)
    same = {section: {name: description[ours] for name, ours in names.items()} for section, names in SAME.items()}
    levels = {
        "base_channels": base,
        "layers_list": [description["unet_blocks"]] * len(widths),
        "multipliers_list": [width // base for width in widths],
        "attention_list": attention,
        "freq_downsample_list": [int(stride == (4, 1)) for stride in description["strides"]],
        "layers_list_encoder": [1] * len(widths),
        "attention_list_encoder": attention[:],
    }
    if any(attention):
        same["generator"]["heads"] = 4
    same["generator"] |= levels
    return {section: defaults | same[section] for section, defaults in DEFAULTS.items()}


def published_settings(autoencoder: ConsistencyAutoencoder) -> Settings:
    """An autoencoder's settings as the authors' classes take them.

    Raises:
        ValueError: if it is another kind of autoencoder, or has something that they cannot say.
    """
    if not isinstance(autoencoder, ConsistencyAutoencoder):
        raise ValueError(f"a {type(autoencoder).__name__} has no published form, only a ConsistencyAutoencoder has")
    ours = describe(autoencoder)
    settings = settings_of(ours)
    theirs = description_of(settings)
    for name, value in ours.items():
        if theirs[name] != value:
            raise ValueError(f"{name} is {value}: the published classes can only say {theirs[name]}")
    return settings


def read_settings(files: Mapping[str, Path]) -> dict[str, Any]:
    """The description in the three files of settings.

    Args:
        files: by the keys of `DEFAULTS`.

    Raises:
        FileNotFoundError: if one is missing.
        ValueError: if one cannot be read, or has a setting that our networks cannot follow: file, setting and value.
    """
    settings = {section: _section(section, file) for section, file in files.items()}
    description = description_of(settings)
    for section, again in settings_of(description).items():
        for name, value in again.items():
            found = settings[section][name]
            if found != value and name not in FREE | WITHOUT_EFFECT:
                raise ValueError(f"{files[section]}: {name} is {found!r}: beside the others only {value!r} can be read")
    return description


def _section(section: str, file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing: published weights have their settings beside them")
    given = read_yaml(file)
    if not isinstance(given, dict):
        raise ValueError(f"{file} holds no settings by name, but {given!r}")
    defaults = DEFAULTS[section]
    for name, value in given.items():
        if name not in defaults:
            raise ValueError(f"{file}: {name} is {value!r}: there is no such setting")
        if name not in WITHOUT_EFFECT and not _is_like(value, defaults[name]):
            raise ValueError(f"{file}: {name} is {value!r}: expected something like {defaults[name]!r}")
    return {**defaults, **given}


def _is_like(value: Any, default: Any) -> bool:
    """Whether a value has the type of the default; whole numbers are floats, too, and a default of None has no type."""
    if isinstance(default, list):
        return isinstance(value, list) and bool(value) and all(_is_like(item, default[0]) for item in value)
    kinds = (int, float) if isinstance(default, float) else (type(default),)
    return default is None or type(value) in kinds
