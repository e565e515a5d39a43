import inspect

import pytest

from lincae.autoencoders.consistency import ConsistencyAutoencoder
from lincae.autoencoders.protocol import LatentAutoencoder
from lincae.autoencoders.spectral import SpectralAutoencoder


@pytest.mark.parametrize("model", [ConsistencyAutoencoder, SpectralAutoencoder])
@pytest.mark.parametrize("method", ["encode", "sample_noise", "decode", "training_loss"])
def test_models_can_be_called_as_the_protocol_says(model, method):
    """The same arguments in the same order; a model may give more of them a default."""
    asked = inspect.signature(getattr(LatentAutoencoder, method)).parameters
    offered = inspect.signature(getattr(model, method)).parameters
    assert list(offered) == list(asked)
    for name, parameter in asked.items():
        if parameter.default is not inspect.Parameter.empty:
            assert offered[name].default == parameter.default
