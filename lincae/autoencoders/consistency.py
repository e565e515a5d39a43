"""The paper's model: a consistency autoencoder that decodes in one step."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lincae.consistency.denoiser import Denoiser
from lincae.consistency.loss import pseudo_huber
from lincae.consistency.noise_levels import NoiseLevels
from lincae.consistency.sampler import sample
from lincae.framing import Framing
from lincae.networks.encoder import Encoder
from lincae.networks.pyramid import Pyramid
from lincae.networks.sizes import NetworkSizes
from lincae.networks.unet import UNet
from lincae.schedules import StepSchedule
from lincae.stft import Spectrogram
from lincae.streams import Draws


class ConsistencyAutoencoder(nn.Module):
    """Music2Latent's autoencoder (arXiv 2408.06500); a `lincae.autoencoders.protocol.LatentAutoencoder`.

    Args:
        spectrogram: the representation that the networks see.
        sizes: of the three networks.
        levels: noise levels and how they are drawn.
        step: distance between student's and teacher's index over training.
        sigma_data: of the preconditioning.
        sample_rate: Hz.
    """

    def __init__(
        self,
        spectrogram: Spectrogram | None = None,
        sizes: NetworkSizes | None = None,
        levels: NoiseLevels | None = None,
        step: StepSchedule | None = None,
        sigma_data: float = 0.5,
        sample_rate: int = 44_100,
    ) -> None:
        super().__init__()
        self.spectrogram = spectrogram or Spectrogram()
        self.levels = levels or NoiseLevels()
        self.step = step or StepSchedule()
        self.sample_rate = sample_rate
        self.sizes = sizes = sizes or NetworkSizes()
        self.sigma_data = sigma_data
        channels, bins = self.spectrogram.channels, self.spectrogram.bins
        self.time_stride = sizes.time_stride
        self.encoder = Encoder(sizes, channels, bins)
        self.pyramid = Pyramid(sizes, bins)
        self.denoiser = Denoiser(UNet(sizes, channels, bins), self.levels.sigma_min, sigma_data)

    def networks(self) -> list[nn.Module]:
        """What is worth compiling."""
        return [self.encoder, self.pyramid, self.denoiser.network.connect, self.denoiser]

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

    def sample_noise(self, latents: Tensor, draws: Draws, steps: int = 1) -> Tensor:
        """N(0, 1) for `decode`, (N, steps, C, F, time stride x L)."""
        frames = self.time_stride * latents.shape[-1]
        shape = (steps, self.spectrogram.channels, self.spectrogram.bins, frames)
        return draws.normal("noise", len(latents), *shape).to(latents.device)

    def decode(self, latents: Tensor, noise: Tensor, steps: int = 1) -> Tensor:
        """Latents (N, D, L) -> audio (N, T'), T' the samples of time stride x L frames.

        Raises:
            ValueError: if the noise is not for so many steps.
        """
        if noise.shape[1] != steps:
            raise ValueError(f"noise is for {noise.shape[1]} decoding steps, not {steps}")
        connections = self.denoiser.network.connect(self.pyramid(latents))
        return self.spectrogram.inverse(sample(self.denoiser, self.levels, connections, noise))

    def schedules(self, progress: float) -> dict[str, float]:
        """What changes over training, for the log."""
        return {"step_size": self.step(progress)}

    def training_loss(self, condition: Tensor, targets: Tensor, progress: Tensor, draws: Draws) -> Tensor:
        """Consistency training loss of each row, (N,) (arXiv 2310.14189).

        Raises:
            ValueError: if the targets' frames are not a multiple of the time stride.
        """
        clean = self.spectrogram.whole(targets, self.time_stride)
        rows = len(clean)
        student_index = self.levels.sample(draws.uniform("noise level", rows, 2))
        teacher_index = (student_index - self.step(progress)).clamp_min(0)
        t_student, t_teacher = self.levels(student_index), self.levels(teacher_index)
        noise = draws.normal("noise", *clean.shape)

        connections = self.denoiser.network.connect(self.pyramid(condition))
        student = self.denoiser(clean + t_student.view(-1, 1, 1, 1) * noise, t_student, connections)
        with torch.no_grad():
            teacher = self.denoiser(clean + t_teacher.view(-1, 1, 1, 1) * noise, t_teacher, connections)
        return pseudo_huber(student, teacher) / (t_student - t_teacher)
