"""Maps of latent frames: what is alike is side by side, the same every time."""

import numpy as np
import pytest
import torch

from lincae.report import neighbours
from lincae.report.neighbours import FRAMES, LEAST, map_of, require

METHODS = ["tsne", pytest.param("umap", marks=pytest.mark.slow)]
"""UMAP is compiled at its first use, which takes most of a minute."""


@pytest.fixture
def latents(normal):
    """Frames of three sounds about three places that are far apart, (3, 16, 40)."""
    return normal(3, 16, 40) + 20 * normal(3, 16, 1, seed=1)


@pytest.mark.parametrize("method", METHODS)
def test_the_nearest_neighbours_of_a_frame_are_of_its_own_sound(latents, method):
    found = map_of(method, ["bass", "drums"], latents)
    assert list(found.sources) == ["bass", "drums"]
    places = np.array([found.sources["bass"], found.sources["drums"], found.mix])
    assert places.shape == (3, 40, 2)
    flat = places.reshape(-1, 2)
    distances = np.linalg.norm(flat[:, None] - flat, axis=-1) + 1e9 * np.eye(len(flat))
    assert (distances.argmin(axis=1) // 40 == np.arange(120) // 40).all()


@pytest.mark.parametrize("method", METHODS)
def test_the_same_frames_make_the_same_map_whatever_was_drawn_before(latents, method):
    one = map_of(method, ["bass", "drums"], latents)
    np.random.default_rng(1).random(10)
    np.random.seed(5)  # noqa: NPY002
    assert map_of(method, ["bass", "drums"], latents) == one


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(1, 1, LEAST), (3, 1, 3), (2, 3, 2)])
def test_few_frames_of_few_channels_make_a_map_too(normal, method, shape):
    found = map_of(method, ["a", "b"][: shape[0]], normal(*shape))
    places = np.array([*found.sources.values(), *([found.mix] if found.mix else [])])
    assert places.shape == (shape[0], shape[2], 2)
    assert np.isfinite(places).all()
    assert places.std() > 0


def test_frames_are_taken_at_equal_distances_and_keep_their_order(monkeypatch):
    """The map is one that only hands on the first two channels."""
    handed_on = neighbours.METHODS["tsne"]._replace(place=lambda frames: frames[:, :2])
    monkeypatch.setitem(neighbours.METHODS, "tsne", handed_on)
    length = 5 * FRAMES
    latents = torch.arange(2.0 * 3 * length).reshape(2, 3, length)
    found = map_of("tsne", ["a"], latents)
    for sound, points in zip(latents, (found.sources["a"], found.mix), strict=True):
        assert len(points) == FRAMES
        assert points[0] == sound[:2, 0].tolist()
        assert points[-1] == sound[:2, -1].tolist()
        steps = np.diff(np.array(points), axis=0)
        assert set(steps.flatten()) <= {5, 6}
    assert len(map_of("tsne", ["a"], latents[..., :FRAMES]).mix) == FRAMES


def test_too_few_frames_are_an_error_that_says_what_to_do(normal):
    with pytest.raises(ValueError, match="t-SNE needs 4 latent frames or more: evaluate more --seconds"):
        map_of("tsne", ["a", "b"], normal(3, 8, 1))


@pytest.mark.parametrize(("method", "package"), [("tsne", "scikit-learn"), ("umap", "umap-learn")])
def test_a_package_that_is_missing_is_named_with_its_command(monkeypatch, method, package):
    require([])
    monkeypatch.setattr(neighbours, "find_spec", lambda module: None)
    require([])
    with pytest.raises(ModuleNotFoundError, match=f"pip install {package}"):
        require([method])


@pytest.mark.slow
def test_what_is_installed_for_the_slow_tests_is_enough():
    require(list(neighbours.METHODS))
