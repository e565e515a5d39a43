"""Latents in a plane: for linear encoders geometry knows where they are, for others principal components do."""

import json
import math

import numpy as np
import pytest
import torch

from lincae.autoencoders.controls import Identity, LoudnessNormalising, OrthogonalProjection, PowerLawSpectrogram
from lincae.report.latents import GAINS, plane_of, write_latents
from lincae.stft import Spectrogram

RATE, SAMPLES = 8000, 8192
LINEAR = {"identity": Identity(64, RATE), "orthogonal": OrthogonalProjection(64, 8, sample_rate=RATE)}


class Tanh(OrthogonalProjection):
    """An encoder that is neither homogeneous nor additive, nor zero for silence."""

    def encode(self, audio):
        return torch.tanh(8 * super().encode(audio) + 0.5)


class Affine(OrthogonalProjection):
    """Linear but for a constant."""

    def encode(self, audio):
        return super().encode(audio) + 0.1


class Diverged(Identity):
    """Silence makes it divide by zero."""

    def encode(self, audio):
        return super().encode(audio) / audio.abs().amax()


@pytest.fixture
def sources(normal):
    """Three stems, which are correlated: the loudest is the second, the quietest the first."""
    first, second, third = 0.1 * normal(3, SAMPLES)
    return {"bass": 0.1 * first, "drums": 2 * second, "vocals": third + 0.5 * second}


@pytest.fixture
def written(tmp_path, sources):
    """A function that writes the latents of the stems, or of others, under models, and reads the file."""

    def write(models, of=sources, **options):
        write_latents(tmp_path, "a track", 12.5, models, dict.fromkeys(models, of), **options)
        return json.loads((tmp_path / "latents.json").read_text())

    return write


def points(found, model, kind="encoded"):
    """Weights -> coordinates."""
    return {tuple(w): tuple(p) for w, p in zip(found["weights"], found["planes"][model][kind], strict=True)}


def mixed(model, sources, weights, u="drums", v="vocals"):
    """Latents of mixes, flat, and what arithmetic makes them."""
    encoded = np.stack([model.encode((a * sources[u] + b * sources[v])[None]).flatten().numpy() for a, b in weights])
    one, other = (model.encode(sources[name][None]).flatten().numpy() for name in (u, v))
    return encoded, np.stack([a * one + b * other for a, b in weights])


@pytest.mark.parametrize("name", LINEAR)
def test_a_linear_encoder_makes_lines_and_a_parallelogram(written, sources, name):
    found = written(LINEAR)
    assert (found["u"], found["v"]) == ("drums", "vocals")
    u, v = (LINEAR[name].encode(sources[source][None]).flatten() for source in ("drums", "vocals"))
    along = float(u @ v / u.square().sum())
    across = math.sqrt(float(v.square().sum() / u.square().sum()) - along**2)
    for kind in ("encoded", "arithmetic"):
        for (a, b), place in points(found, name, kind).items():
            assert place == pytest.approx((a + b * along, b * across), abs=2e-6)
    assert found["planes"][name]["share"] == 1
    assert found["planes"][name]["difference_share"] is None


def test_multiples_of_both_sounds_and_the_sides_of_their_parallelogram_are_there(written):
    weights = {tuple(pair) for pair in written(LINEAR)["weights"]}
    assert GAINS == (0, 0.25, 0.5, 1, 1.5, 2)
    assert weights >= {(a, 0) for a in GAINS} | {(0, a) for a in GAINS} | {(1, 1), (1, 0.5), (0.5, 1)}


def test_all_gains_of_an_encoder_that_normalises_loudness_are_in_one_point(written):
    found = written({"deaf": LoudnessNormalising(64, RATE)})
    encoded, arithmetic = points(found, "deaf"), points(found, "deaf", "arithmetic")
    for gain in GAINS[1:]:
        assert encoded[gain, 0] == (1, 0)
        assert encoded[0, gain] == pytest.approx(encoded[0, 1], abs=2e-6)
        assert arithmetic[gain, 0] == (gain, 0)
    assert encoded[0, 0] == (0, 0)
    for place in encoded.values():  # all others are as loud as u
        assert math.hypot(*place) == pytest.approx(1, abs=2e-6) or place == (0, 0)
    assert found["planes"]["deaf"]["share"] == found["planes"]["deaf"]["difference_share"] == 1


def test_a_power_law_keeps_the_line_but_not_the_distances(written):
    model = PowerLawSpectrogram(Spectrogram(hop=64, window=256), RATE)
    found = written({"stft": model})
    encoded = points(found, "stft")
    for gain in GAINS:
        for weights, one in (((gain, 0.0), encoded[1, 0]), ((0.0, gain), encoded[0, 1])):
            assert encoded[weights] == pytest.approx([gain**0.65 * x for x in one], abs=1e-5)
    assert encoded[1, 0][0] > 0.99
    assert encoded[1, 0][1] == 0


@pytest.mark.parametrize("model", [Tanh(64, 8), Affine(64, 8), LINEAR["orthogonal"]])
def test_any_encoder_is_projected_as_by_a_singular_value_decomposition(written, sources, model):
    """Distances, since both may turn and flip the plane; then shares."""
    found = written({"m": model})
    both = np.concatenate(mixed(model, sources, found["weights"])).astype(np.float64)
    _, values, axes = np.linalg.svd(both, full_matrices=False)
    expected = both @ axes[:2].T / np.linalg.norm(both[found["weights"].index([1.0, 0.0])])
    measured = np.array(found["planes"]["m"]["encoded"] + found["planes"]["m"]["arithmetic"])
    np.testing.assert_allclose(measured @ measured.T, expected @ expected.T, atol=1e-5)
    assert found["planes"]["m"]["share"] == pytest.approx(np.sum(values[:2] ** 2) / np.sum(values**2), abs=2e-6)
    differences = np.subtract(*np.split(both, 2))
    if found["planes"]["m"]["difference_share"] is None:
        assert np.linalg.norm(differences) < 1e-5 * np.linalg.norm(both)
    else:
        seen = np.sum((differences @ axes[:2].T) ** 2) / np.sum(differences**2)
        assert found["planes"]["m"]["difference_share"] == pytest.approx(seen, abs=2e-6)
    assert found["planes"]["m"]["encoded"][found["weights"].index([1.0, 0.0])][1] == 0
    assert found["planes"]["m"]["encoded"][found["weights"].index([0.0, 1.0])][1] > 0


def test_a_constant_moves_silence_and_leaves_lines_straight(written):
    """Enc(a u) = a W u + c: steps from gain to gain are equal, and arithmetic begins at zero all the same."""
    found = written({"m": Affine(64, 8)})
    encoded = {weights: np.array(place) for weights, place in points(found, "m").items()}
    assert np.linalg.norm(encoded[0, 0]) > 0.1
    assert points(found, "m", "arithmetic")[0, 0] == (0, 0)
    for one in ((1.0, 0.0), (0.0, 1.0)):
        for gain in GAINS:
            here = encoded[gain * one[0], gain * one[1]]
            np.testing.assert_allclose(here, encoded[0, 0] + gain * (encoded[one] - encoded[0, 0]), atol=3e-6)
    np.testing.assert_allclose(encoded[1, 1] - encoded[1, 0], encoded[0, 1] - encoded[0, 0], atol=3e-6)


def test_the_plane_does_not_depend_on_the_scale_or_the_rotation_of_the_latent_space(normal):
    weights = [(0.0, 0.0), (0.5, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)]
    latents = normal(5, 6, 4)
    turn = torch.linalg.qr(normal(24, 24, seed=1)).Q
    one, other = plane_of(latents, weights), plane_of(7 * (latents.flatten(1) @ turn)[..., None], weights)
    assert np.array(one.encoded) == pytest.approx(np.array(other.encoded), abs=3e-6)
    assert one.difference_share == pytest.approx(other.difference_share, abs=3e-6)


@pytest.mark.parametrize(("bend", "exact"), [(1e-7, True), (1e-4, False)])
def test_differences_count_from_what_single_precision_rounds_away(normal, bend, exact):
    """The latent of 2 u is off by a little in a direction of its own, which no plane of the others shows."""
    u, v, aside = torch.linalg.qr(normal(24, 3).double()).Q.T
    latents = torch.stack([u, 2 * u + bend * aside, v])
    plane = plane_of(latents[..., None], [(1.0, 0.0), (2.0, 0.0), (0.0, 1.0)])
    assert plane.share == 1
    assert plane.difference_share == (None if exact else pytest.approx(0, abs=1e-5))


def test_silence_is_a_point_and_no_division_by_zero(written):
    silent = {"bass": torch.zeros(SAMPLES), "drums": torch.zeros(SAMPLES)}
    found = written({"identity": LINEAR["identity"], "affine": Affine(64, 8)}, silent)
    assert set(points(found, "identity").values()) == {(0, 0)}
    assert found["planes"]["identity"]["share"] == 1
    assert set(points(found, "affine").values()) == {(1, 0)}


def test_latents_that_are_not_finite_have_no_plane_and_no_map(written, sources):
    models = {"identity": LINEAR["identity"], "diverged": Diverged(64)}
    found = written(models, sources | {"rest": torch.zeros(SAMPLES)}, methods=["tsne"])
    assert (found["planes"]["diverged"], found["maps"]["tsne"]["diverged"]) == (None, None)
    assert found["planes"]["identity"] is not None
    assert found["maps"]["tsne"]["identity"] is not None


def test_a_single_source_has_multiples_only(written, sources):
    found = written(LINEAR, {"clip": sources["bass"]})
    assert (found["u"], found["v"]) == ("clip", None)
    assert points(found, "identity") == {(a, 0.0): (a, 0.0) for a in GAINS}


def test_sources_that_a_model_lacks_are_left_out_for_all(tmp_path, sources):
    """Such as those that could not be read at its sample rate."""
    fewer = {name: sources[name] for name in ("bass", "vocals")}
    write_latents(tmp_path, "a", 0.0, LINEAR, {"identity": sources, "orthogonal": fewer})
    found = json.loads((tmp_path / "latents.json").read_text())
    assert (found["u"], found["v"]) == ("vocals", "bass")


def test_the_same_latents_make_the_same_file_which_replaces_what_was_there(tmp_path, written):
    written(LINEAR | {"tanh": Tanh(64, 8)})
    before = (tmp_path / "latents.json").read_bytes()
    (tmp_path / "latents.json").write_text("half a fi")
    written(LINEAR | {"tanh": Tanh(64, 8)})
    assert (tmp_path / "latents.json").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["latents.json"]
    assert json.loads(before)["excerpt"] == {"name": "a track", "start": 12.5}
