"""A deterministic autoencoder from the same parts: no noise, no UNet."""

from __future__ import annotations

import math

from torch import Tensor, nn

from lincae.framing import Framing
from lincae.networks.encoder import Encoder
from lincae.networks.pyramid import Pyramid
from lincae.networks.sizes import NetworkSizes
from lincae.stft import Spectrogram
from lincae.streams import Draws


class SpectralAutoencoder(nn.Module):
    """Encoder, pyramid and one output convolution, trained on relative L2 of the compressed spectrogram.

    Implicit linearity is not bound to consistency models: this one learns it about ten times sooner. A
    `lincae.autoencoders.protocol.LatentAutoencoder`.

    Args:
        spectrogram: the representation that the networks see.
        sizes: of encoder and pyramid.
        silence: root mean square of the compressed spectrogram below which the loss stops being relative, so that
            silent targets (gain 0) have a finite one.
        sample_rate: Hz.
    """

    def __init__(
        self,
        spectrogram: Spectrogram | None = None,
        sizes: NetworkSizes | None = None,
        silence: float = 0.01,
        sample_rate: int = 44_100,
    ) -> None:
        super().__init__()
        self.spectrogram = spectrogram or Spectrogram()
        self.sample_rate = sample_rate
        self.silence = silence
        self.sizes = sizes = sizes or NetworkSizes()
        self.time_stride = sizes.time_stride
        self.encoder = Encoder(sizes, self.spectrogram.channels, self.spectrogram.bins)
        self.pyramid = Pyramid(sizes, self.spectrogram.bins)
        self.conv_out = nn.Conv2d(sizes.widths[0], self.spectrogram.channels, 3, padding=1)

    def networks(self) -> list[nn.Module]:
        """What is worth compiling."""
        return [self.encoder, self.pyramid]

    @property
    def margin(self) -> int:
        """Samples at either end that the inverse STFT fades."""
        return self.spectrogram.margin

    @property
    def framing(self) -> Framing:
        """Lengths of audio and latents."""
        return Framing(self.spectrogram.hop, self.spectrogram.window, self.time_stride)

    def encode(self, audio: Tensor) -> Tensor:
        """Audio (N, T) -> latents (N, D, L), L = ceil(STFT frames / time stride), float32."""
        return self.encoder(self.spectrogram(audio)).float()

    def features(self, audio: Tensor) -> Tensor:
        """Audio (N, T) -> the encoder's map before its bottleneck, channels and bins flattened: (N, C x F, L)."""
        return self.encoder.features(self.spectrogram(audio)).float()

    def sample_noise(self, latents: Tensor, draws: Draws, steps: int = 1) -> None:
        """None: decoding is deterministic."""

    def decode(self, latents: Tensor, noise: None = None, steps: int = 1) -> Tensor:
        """Latents (N, D, L) -> audio (N, T'), T' the samples of time stride x L frames."""
        return self.spectrogram.inverse(self._estimate(latents))

    def training_loss(self, condition: Tensor, targets: Tensor, progress: Tensor, draws: Draws) -> Tensor:
        """|estimate - target| / |target| over the compressed spectrogram of each row, (N,).

        Both norms have a floor: `silence` under the target's, a thousandth of it under the error's, whose gradient
        would else be infinite at 0.

        Raises:
            ValueError: if the targets' frames are not a multiple of the time stride.
        """
        target = self.spectrogram.whole(targets, self.time_stride).flatten(1)
        estimate = self._estimate(condition).flatten(1)
        floor = self.silence * math.sqrt(target.shape[1])
        error = ((estimate - target).square().sum(dim=1) + (1e-3 * floor) ** 2).sqrt()
        return error / (target.square().sum(dim=1) + floor**2).sqrt()

    def _estimate(self, latents: Tensor) -> Tensor:
        return self.conv_out(self.pyramid(latents)[0])
