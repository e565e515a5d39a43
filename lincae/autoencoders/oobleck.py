"""The Stable Audio VAE's architecture, from diffusers, as an autoencoder that is trained here."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn.utils import remove_weight_norm
from torch.nn.utils.parametrizations import weight_norm

from lincae.autoencoders.bottleneck import VariationalBottleneck
from lincae.autoencoders.reconstruction import ReconstructionAutoencoder

CLASS_NAME = "AutoencoderOobleck"
"""By which diffusers' configurations are known."""


class OobleckAutoencoder(ReconstructionAutoencoder):
    """`diffusers.AutoencoderOobleck` (arXiv 2407.14358); latents are the means of its posterior.

    Its own spreads, which the encoder chooses, are left aside; `bottleneck` adds others.

    Args:
        encoder_hidden_size, downsampling_ratios, channel_multiples, decoder_channels, decoder_input_channels,
        audio_channels: as there. D is `decoder_input_channels`, half of `encoder_hidden_size`.
        sample_rate: Hz.
        losses, bottleneck: as in `ReconstructionAutoencoder`.

    Raises:
        ModuleNotFoundError: without the package `diffusers`.
    """

    def __init__(
        self,
        encoder_hidden_size: int = 128,
        downsampling_ratios: Sequence[int] = (2, 4, 4, 8, 8),
        channel_multiples: Sequence[int] = (1, 2, 4, 8, 16),
        decoder_channels: int = 128,
        decoder_input_channels: int = 64,
        audio_channels: int = 2,
        sample_rate: int = 44_100,
        losses: Sequence[nn.Module] | None = None,
        bottleneck: VariationalBottleneck | None = None,
    ) -> None:
        try:
            from diffusers import AutoencoderOobleck
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError("this autoencoder needs diffusers: pip install diffusers") from error
        with old_weight_norms():
            vae: Any = AutoencoderOobleck(
                encoder_hidden_size,
                list(downsampling_ratios),
                list(channel_multiples),
                decoder_channels,
                decoder_input_channels,
                audio_channels,
                sample_rate,
            )
        stride = math.prod(downsampling_ratios)
        renew_weight_norms(vae)
        super().__init__(Means(vae.encoder), vae.decoder, losses, sample_rate, stride, audio_channels, bottleneck)
        self.encoder_hidden_size, self.decoder_channels = encoder_hidden_size, decoder_channels
        self.downsampling_ratios, self.channel_multiples = list(downsampling_ratios), list(channel_multiples)
        self.decoder_input_channels = decoder_input_channels

    @classmethod
    def from_folder(cls, path: Path) -> OobleckAutoencoder:
        """The model in a folder that diffusers wrote, such as `vae` of `stabilityai/stable-audio-open-1.0`.

        Raises:
            ModuleNotFoundError: without the package `diffusers`.
        """
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        settings = {key: value for key, value in config.items() if not key.startswith("_")}
        model = cls(sample_rate=settings.pop("sampling_rate"), **settings)
        from diffusers import AutoencoderOobleck

        with old_weight_norms():
            vae: Any = AutoencoderOobleck.from_pretrained(path)
        model.encoder.load_state_dict(Means(vae.encoder).state_dict())
        model.decoder.load_state_dict(vae.decoder.state_dict())
        return model.eval()


@contextmanager
def old_weight_norms() -> Iterator[None]:
    """Nothing is said of diffusers' weight norms being of the old kind, since they are renewed here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*weight_norm", category=FutureWarning)
        yield


def renew_weight_norms(module: nn.Module) -> None:
    """Weight norms as parametrizations, which can be copied (for averaged weights) and take weights of the old kind."""
    for part in list(module.modules()):
        if hasattr(part, "weight_g"):
            remove_weight_norm(part)
            weight_norm(part)


class Means(nn.Module):
    """The first half of an encoder's channels, (N, 2 D, L) -> (N, D, L): means, beside spreads."""

    def __init__(self, posterior: nn.Module) -> None:
        super().__init__()
        self.posterior = posterior

    def forward(self, audio: Tensor) -> Tensor:
        return self.posterior(audio).chunk(2, dim=1)[0]
