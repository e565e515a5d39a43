"""An affine autoencoder is linear once its origin is taken out."""

import torch

from lincae.autoencoders.origin import DecoderCentered, LatentCentered


class Affine:
    """Enc x = x + c, Dec z = z + d, on frames of one sample."""

    sample_rate, margin = 8_000, 0

    def __init__(self, c=0.0, d=0.0):
        self.c, self.d = c, d

    def encode(self, audio):
        return audio[:, None] + self.c

    def sample_noise(self, latents, draws, steps=1):
        return None

    def decode(self, latents, noise, steps=1):
        return latents[:, 0] + self.d


X, Y = torch.randn(2, 3, 50, generator=torch.Generator().manual_seed(0)).unbind(0)


def test_the_latent_of_silence_is_taken_out_of_encoder_and_arithmetic():
    model = LatentCentered(Affine(c=0.7, d=-0.7))
    torch.testing.assert_close(model.encode(0.3 * X), 0.3 * model.encode(X))
    torch.testing.assert_close(model.encode(X) + model.encode(Y), model.encode(X + Y))
    torch.testing.assert_close(model.decode(model.encode(X), None), X)
    torch.testing.assert_close(model.decode(2 * model.encode(X), None), 2 * X)
    torch.testing.assert_close(model.decode(model.encode(X + Y) - model.encode(Y), None), X)
    raw = Affine(c=0.7, d=-0.7)
    assert not torch.allclose(raw.decode(2 * raw.encode(X), None), 2 * X)


def test_the_decode_of_the_zero_latent_is_taken_out_of_decodes():
    model = DecoderCentered(Affine(d=0.4))
    z = model.encode(X)
    torch.testing.assert_close(model.decode(0.5 * z, None), 0.5 * model.decode(z, None))
    assert (model.sample_rate, model.margin) == (8_000, 0)


def test_the_decode_of_the_zero_latent_follows_the_noise():
    class Noisy(Affine):
        def decode(self, latents, noise, steps=1):
            return latents[:, 0] + noise

    model = DecoderCentered(Noisy())
    for noise in (X, Y, X):  # whatever was decoded before
        torch.testing.assert_close(model.decode(X[:, None], noise), X)
        torch.testing.assert_close(model.decode(2 * X[:1, None], noise[:1]), 2 * X[:1])
