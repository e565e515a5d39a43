"""Any encoder and decoder of waveforms as an autoencoder that is trained here."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lincae.autoencoders.bottleneck import VariationalBottleneck
from lincae.autoencoders.losses import RelativeL2
from lincae.framing import Framing
from lincae.streams import Draws


class ReconstructionAutoencoder(nn.Module):
    """Two modules, trained on what comes back; a `lincae.autoencoders.protocol.LatentAutoencoder`.

    Args:
        encoder: audio (N, C, T) -> latents (N, D, T / stride), for T a multiple of the stride.
        decoder: latents (N, D, L) -> audio (N, C, stride x L).
        losses: modules (estimate, target), (N, C, T) both -> (N,), whose sum is the loss, such as those in
            `lincae.autoencoders.losses`; by default `RelativeL2` alone.
        sample_rate: Hz.
        stride: samples per latent.
        audio_channels: C.
        bottleneck: noise on the latents in training; None for none.
        margin: samples at either end of a decode that comparisons leave out.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        losses: Sequence[nn.Module] | None = None,
        sample_rate: int = 44_100,
        stride: int = 1,
        audio_channels: int = 1,
        bottleneck: VariationalBottleneck | None = None,
        margin: int = 0,
    ) -> None:
        super().__init__()
        self.encoder, self.decoder, self.bottleneck = encoder, decoder, bottleneck
        self.losses = nn.ModuleList([RelativeL2()] if losses is None else losses)
        self.sample_rate, self.stride, self.audio_channels, self.margin = sample_rate, stride, audio_channels, margin

    def networks(self) -> list[nn.Module]:
        """What is worth compiling."""
        return [self.encoder, self.decoder]

    @property
    def framing(self) -> Framing:
        """Lengths of audio and latents."""
        return Framing(self.stride, self.stride)

    def encode(self, audio: Tensor) -> Tensor:
        """Audio (N, T), or (N, C, T) of several channels -> latents (N, D, L), L = T // stride, float32."""
        seen = self._with_channels(audio)[..., : audio.shape[-1] - audio.shape[-1] % self.stride]
        return self.encoder(seen).float()

    def sample_noise(self, latents: Tensor, draws: Draws, steps: int = 1) -> None:
        """None: decoding is deterministic."""

    def decode(self, latents: Tensor, noise: Tensor | None = None, steps: int = 1) -> Tensor:
        """Latents (N, D, L) -> audio (N, T), or (N, C, T) of several channels, T = stride x L, float32."""
        audio = self.decoder(latents).float()
        return audio.squeeze(1) if self.audio_channels == 1 else audio

    def training_loss(self, condition: Tensor, targets: Tensor, progress: Tensor, draws: Draws) -> Tensor:
        """The sum of the losses, and of the bottleneck's charge, of each row, (N,).

        Raises:
            ValueError: if the targets are not as long as what the latents decode to.
        """
        latents = condition if self.bottleneck is None else self.bottleneck.sample(condition, draws)
        target, estimate = self._with_channels(targets), self.decoder(latents)
        if estimate.shape != target.shape:
            raise ValueError(
                f"decodes are {tuple(estimate.shape[1:])} for targets {tuple(target.shape[1:])}, channels and samples: "
                f"use crops of a multiple of the stride, {self.stride} samples, and data.channels to suit the model"
            )
        terms = [loss(estimate, target) for loss in self.losses]
        if self.bottleneck is not None:
            terms.append(self.bottleneck.charge(condition))
        return torch.stack(terms).sum(dim=0)

    def _with_channels(self, audio: Tensor) -> Tensor:
        return audio[:, None] if self.audio_channels == 1 else audio
