"""A training step as the code published with the paper takes it, written from its description.

The network is the authors' (`linear_cae.components.generator.UNet`, from PyPI), in its own memory format and with its
own attention; the loop is ours. All 2 S rows are encoded, and then their latents replaced by the mixed latents of the S
sources; the teacher's pass builds a graph, which is then dropped; student and teacher each pass the pyramid's maps
through the 1x1 convolutions. Draws, loss and schedules are this project's, so that losses can be compared.
"""

from __future__ import annotations

from torch import Tensor, nn

from lincae.autoencoders.consistency import ConsistencyAutoencoder
from lincae.consistency.loss import pseudo_huber
from lincae.mixing import Mixture
from lincae.streams import Draws


class PublishedStep(nn.Module):
    """The authors' network under the interface of `step.py`.

    Args:
        authors: their `Autoencoder`.
        ours: whose noise levels and step schedule are used.
    """

    def __init__(self, authors: nn.Module, ours: ConsistencyAutoencoder) -> None:
        super().__init__()
        self.frontend, self.network = authors.frontend, authors.generator
        self.levels, self.step = ours.levels, ours.step
        self.encoder, self.pyramid, self.denoiser = self.network.encoder, self.network.decoder, Denoise(self.network)

    def networks(self) -> list[nn.Module]:
        """What is worth compiling."""
        return [self.encoder, self.pyramid, self.denoiser]

    def loss(self, mixture: Mixture, progress: Tensor, draws: Draws) -> Tensor:
        """Mean consistency loss of the rows, ()."""
        clean = self.frontend(mixture.targets)
        latents = self.encoder(clean).float()
        latents = mixture.condition(latents[: len(mixture.sources)])  # the first rows are the sources
        student_index = self.levels.sample(draws.uniform("noise level", len(clean), 2))
        t_student = self.levels(student_index)
        t_teacher = self.levels((student_index - self.step(progress)).clamp_min(0))
        noise = draws.normal("noise", *clean.shape)
        pyramid = self.pyramid(latents)
        teacher = self.denoiser(latents, clean + t_teacher.view(-1, 1, 1, 1) * noise, t_teacher, pyramid).detach()
        student = self.denoiser(latents, clean + t_student.view(-1, 1, 1, 1) * noise, t_student, pyramid)
        return (pseudo_huber(student, teacher) / (t_student - t_teacher)).mean()


class Denoise(nn.Module):
    """The method of the authors' network that denoises, as a module."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.method = network.forward_generator

    def forward(self, latents: Tensor, noisy: Tensor, sigma: Tensor, pyramid: list[Tensor]) -> Tensor:
        return self.method(latents, noisy, sigma, pyramid)
