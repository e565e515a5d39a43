"""Where a training begins: at the weights of an autoencoder that was trained before."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

NAMED = 5
"""Most tensors that an error names."""


def take_weights(autoencoder: nn.Module, trained: nn.Module, source: str) -> None:
    """Copies all weights of a trained autoencoder.

    Args:
        autoencoder: to be filled.
        trained: of the same sizes.
        source: what to call it in an error.

    Raises:
        ValueError: if the two differ in names or shapes of tensors.
    """
    found = misfits(autoencoder.state_dict(), trained.state_dict())
    if found:
        raise ValueError(f"the weights of {source} do not fit the model: {found}. Give the model its sizes")
    autoencoder.load_state_dict(trained.state_dict())


def misfits(own: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> str:
    """How the tensors of a stored model differ from those of another in names and shapes; empty if they do not."""
    differences = {
        "lacks": [name for name in own if name not in other],
        "has beside": [name for name in other if name not in own],
        "has in other shapes": [
            f"{name} {tuple(other[name].shape)} for {tuple(own[name].shape)}"
            for name in own
            if name in other and own[name].shape != other[name].shape
        ],
    }
    return "; ".join(f"it {verb} {shortened(names)}" for verb, names in differences.items() if names)


def shortened(names: list[str]) -> str:
    """The first names, and how many more there are."""
    rest = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {rest} more" if rest > 0 else "")
