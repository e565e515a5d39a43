"""Procedural audio: pure functions of their arguments, sounds with the spectra they claim, files that are kept."""

import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from datamodules import synthesis, synthetic
from datamodules.synthesis import Song, Struck, Sustained
from datamodules.synthetic import STEMS, bank, clip, track, write_clips, write_tracks

RATE = 16000
FAMILIES = [synthesis.pitched, synthesis.plucked, synthesis.percussive, synthesis.voice]


def power_spectrum(sound):
    return np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2


def flatness(sound):
    """Geometric over arithmetic mean of the power spectrum: 1 for white noise, 0 for a sine."""
    power = power_spectrum(sound) + 1e-12
    return np.exp(np.mean(np.log(power))) / np.mean(power)


def similarity(first, second):
    return abs(np.dot(first, second)) / (np.linalg.norm(first) * np.linalg.norm(second))


def share_near(sound, frequencies, width, sample_rate):
    """Share of the energy within `width` Hz of one of the frequencies."""
    power = power_spectrum(sound)
    bins = np.fft.rfftfreq(len(sound), 1 / sample_rate)
    near = (np.abs(bins[:, None] - np.asarray(frequencies)) <= width).any(1)
    return power[near].sum() / power.sum()


# Formulas against their definitions.


def test_tone_is_a_sum_of_sines():
    rng = np.random.default_rng(0)
    turns = np.linspace(0, 37, 2000)
    weights = rng.normal(size=9) + 1j * rng.normal(size=9)
    brightness = np.linspace(0.5, 1, 2000)
    expected = sum(
        (weight * (brightness * np.exp(2j * np.pi * turns)) ** harmonic).imag
        for harmonic, weight in enumerate(weights, 1)
    )
    np.testing.assert_allclose(synthesis._tone(turns, weights, brightness.astype(np.float32)), expected, atol=2e-5)


@pytest.mark.parametrize("samples", [1, 255, 256, 1000])
def test_ringing_is_a_sum_of_decaying_exponentials(samples):
    rng = np.random.default_rng(1)
    weights = rng.normal(size=5) + 1j * rng.normal(size=5)
    exponents = -rng.uniform(0, 0.01, 5) + 1j * rng.uniform(0, np.pi, 5)
    expected = (weights * np.exp(np.outer(np.arange(samples), exponents))).sum(1).imag
    np.testing.assert_allclose(synthesis._ringing(weights, exponents, samples), expected, atol=2e-5)


@pytest.mark.parametrize("samples", [100, 1024, 5000])
def test_filter_is_the_identity_for_a_flat_response_and_zero_where_the_response_is(samples):
    hop = 256
    bins = np.arange(hop + 1)
    noise = np.random.default_rng(2).standard_normal(samples)
    flat = np.ones((samples // hop + 2, hop + 1))
    np.testing.assert_allclose(synthesis._filtered(noise, flat), noise, atol=1e-12)
    low = synthesis._filtered(noise, flat * (bins < hop / 2))
    power = power_spectrum(low)
    assert power[int(0.6 * len(power)) :].sum() < 1e-3 * power.sum()


def test_pitches_are_the_scale_within_the_register():
    song = Song(step=0.1, root=20.0, scale=(0, 3, 7))
    found = song.pitches(38, 130)
    expected = [40, 40 * 2 ** (3 / 12), 40 * 2 ** (7 / 12), 80, 80 * 2 ** (3 / 12), 80 * 2 ** (7 / 12)]
    np.testing.assert_allclose(found, expected)


# Instruments.


@pytest.mark.parametrize("frequency", [110.0, 777.0, 2500.0])
def test_sustained_note_has_harmonics_alone_and_none_is_folded(frequency):
    """Had a harmonic above Nyquist been kept, it would appear at a frequency that is no multiple of the pitch."""
    instrument = replace(
        Sustained.drawn(np.random.default_rng(3)),
        weights=np.ones(synthesis.MAX_HARMONICS),
        vibrato=0.0,
        bright=1,
        dull=1,
    )
    note = instrument.note(frequency, RATE, RATE)
    harmonics = np.arange(frequency, 0.9 * RATE / 2, frequency)[: synthesis.MAX_HARMONICS]
    assert share_near(note, harmonics, 20, RATE) > 0.9999
    for harmonic in harmonics:
        assert share_near(note, [harmonic], 20, RATE) == pytest.approx(1 / len(harmonics), rel=0.05)


@pytest.mark.parametrize("frequency", [110.0, 777.0, 2500.0])
def test_struck_note_rings_at_its_partials_and_fades_at_its_rate(frequency):
    instrument = Struck(np.array([1, 2.76, 5.4]), np.ones(3, complex), decay=3.0, damping=0.0, attack=0.002)
    note = instrument.note(frequency, RATE, RATE)
    partials = frequency * instrument.ratios[frequency * instrument.ratios < 0.9 * RATE / 2]
    assert share_near(note, partials, 20, RATE) > 0.999
    quarter = RATE // 4
    early, late = (np.sqrt(np.mean(note[start : start + quarter] ** 2)) for start in (1000, 1000 + 2 * quarter))
    assert late / early == pytest.approx(np.exp(-3.0 * np.sqrt(frequency / 220) / 2), rel=0.05)


# Families.


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("samples", "sample_rate"), [(200, 8000), (16000, 16000), (20001, 44100)])
def test_family_gives_a_finite_sound_at_full_scale_without_dc(family, samples, sample_rate):
    for seed in range(5):
        sound = family(np.random.default_rng(seed), samples, sample_rate)
        assert sound.shape == (samples,)
        assert sound.dtype == np.float32
        assert np.abs(sound).max() == pytest.approx(1)
        assert abs(sound.mean()) < 1e-5


@pytest.mark.parametrize("family", FAMILIES)
def test_family_is_never_silent_for_long(family):
    for seed in range(10):
        windows = family(np.random.default_rng(seed), 4 * RATE, RATE).reshape(-1, RATE // 2)
        assert np.sqrt(np.mean(windows**2, axis=1)).min() > 0.01


def test_drums_are_noisier_than_tones():
    flat = {f: np.median([flatness(f(np.random.default_rng(i), RATE, RATE)) for i in range(12)]) for f in FAMILIES}
    assert flat[synthesis.percussive] > 10 * flat[synthesis.pitched]
    assert flat[synthesis.percussive] > 10 * flat[synthesis.plucked]


def test_energy_of_tones_is_in_few_bins():
    """White noise, whose power is exponentially distributed, has 0.05 (1 + ln 20) = 20 % in its strongest twentieth."""
    for family in (synthesis.pitched, synthesis.plucked):
        for seed in range(6):
            power = np.sort(power_spectrum(family(np.random.default_rng(seed), RATE, RATE)))[::-1]
            assert power[: len(power) // 20].sum() > 0.75 * power.sum()


def test_drums_strike_on_the_steps_of_the_song():
    song = Song(step=0.15, root=20.0, scale=(0, 7))
    for seed in range(6):
        energy = synthesis.percussive(np.random.default_rng(seed), round(16 * 2 * 0.15 * RATE), RATE, song) ** 2
        step = round(2 * 0.15 * RATE)  # a stroke is certain on every second step
        bars = energy.reshape(-1, step)
        after, before = bars[:, : RATE // 50].sum(), bars[:, -RATE // 50 :].sum()
        assert after > 3 * before


def test_voice_sings_the_pitches_of_the_song():
    song = Song(step=0.2, root=20.0, scale=(0,))
    for seed in range(4):
        times, pitches = np.array(list(synthesis._syllables(np.random.default_rng(seed), 3.0, song)))[:, :2].T
        octaves = np.log2(pitches / song.root)
        np.testing.assert_allclose(octaves, np.round(octaves), atol=1e-9)
        assert (np.diff(times) > 0).all()  # as interpolation demands


def test_voice_has_its_energy_where_formants_are():
    for seed in range(6):
        power = power_spectrum(synthesis.voice(np.random.default_rng(seed), 2 * RATE, RATE))
        frequencies = np.fft.rfftfreq(2 * RATE, 1 / RATE)
        assert power[(frequencies > 150) & (frequencies < 4000)].sum() > 0.7 * power.sum()


# Clips, tracks, bank.


def test_clips_are_pure_functions_and_all_different():
    clips = [clip(7, index, 0.5, RATE) for index in range(20)]
    np.testing.assert_array_equal(clips[3], clip(7, 3, 0.5, RATE))
    others = [*clips, clip(8, 0, 0.5, RATE), *track(7, 0, 0.5, RATE).values()]
    for number, first in enumerate(others):
        for second in others[:number]:
            assert similarity(first, second) < 0.9


def test_clip_peaks_are_spread_over_twenty_decibels():
    peaks = np.array([np.abs(clip(0, index, 0.3, RATE)).max() for index in range(100)])
    assert peaks.min() > 0.0499
    assert peaks.max() < 0.501
    assert np.median(20 * np.log10(peaks)) == pytest.approx(-16, abs=2)  # log-uniform over -26 to -6 dB
    assert np.ptp(20 * np.log10(peaks)) > 16


def test_three_clips_in_ten_are_mixes():
    """The choice is made by the first draw: a clip that is no mix is the one that a corpus without mixes has."""
    plain = [np.array_equal(clip(0, i, 0.05, RATE), clip(0, i, 0.05, RATE, mix_probability=0)) for i in range(150)]
    assert np.mean(plain) == pytest.approx(0.7, abs=0.12)
    assert not any(np.array_equal(clip(0, i, 0.05, RATE, 1.0), clip(0, i, 0.05, RATE, 0.0)) for i in range(10))


@pytest.mark.parametrize("sample_rate", [16000, 44100])
def test_stems_are_musdbs_and_play_most_of_the_time(sample_rate):
    for index in range(4):
        stems = track(1, index, 3, sample_rate)
        assert tuple(stems) == ("drums", "bass", "other", "vocals")
        assert np.abs(sum(stems.values())).max() <= 0.9
        for sound in stems.values():
            assert sound.dtype == np.float32
            windows = sound.reshape(-1, sample_rate // 2)
            assert np.sqrt(np.mean(windows**2, axis=1)).min() >= 1e-3


def test_bass_is_low_and_stems_are_uncorrelated():
    for index in range(4):
        stems = track(1, index, 3, RATE)
        frequencies = np.fft.rfftfreq(3 * RATE, 1 / RATE)
        centroids = {name: np.average(frequencies, weights=power_spectrum(sound)) for name, sound in stems.items()}
        assert centroids["bass"] < min(centroids["other"], centroids["vocals"])
        names = list(stems)
        for number, name in enumerate(names):
            assert all(similarity(stems[name], stems[other]) < 0.2 for other in names[:number])


def test_bank_holds_different_short_sounds_at_one_level():
    sounds = bank(RATE, 2400)
    assert sounds.shape == (16, 2400)
    assert sounds.dtype == np.float32
    assert np.abs(sounds).max() <= 0.5
    np.testing.assert_allclose(np.sqrt(np.mean(sounds**2, axis=1)), 0.1, rtol=0.25)
    normalised = sounds / np.linalg.norm(sounds, axis=1, keepdims=True)
    assert np.abs(normalised @ normalised.T - np.eye(16)).max() < 0.5
    np.testing.assert_array_equal(sounds, bank(RATE, 2400))
    assert not np.array_equal(sounds, bank(RATE, 2400, seed=1))


# Files.


def test_clips_on_disk_are_the_clips(tmp_path):
    write_clips(tmp_path / "clips", 3, 0.25, RATE, seed=5)
    files = sorted((tmp_path / "clips").glob("*.wav"))
    assert [file.name for file in files] == ["00000.wav", "00001.wav", "00002.wav"]
    for index, file in enumerate(files):
        assert soundfile.info(file).subtype == "PCM_16"
        sound, sample_rate = soundfile.read(file, dtype="float32")
        assert sample_rate == RATE
        np.testing.assert_allclose(sound, clip(5, index, 0.25, RATE), atol=1.5 / 32768)


def test_mixture_on_disk_is_the_sum_of_its_stems(tmp_path):
    write_tracks(tmp_path, 2, 0.5, RATE, seed=5)
    assert sorted(path.name for path in tmp_path.iterdir()) == [synthetic.SETTINGS_FILE, "track 000", "track 001"]
    for index in range(2):
        folder = tmp_path / f"track {index:03d}"
        assert {file.name for file in folder.iterdir()} == {f"{name}.wav" for name in (*STEMS, "mixture")}
        sounds = {name: soundfile.read(folder / f"{name}.wav")[0] for name in (*STEMS, "mixture")}
        assert all(len(sound) == RATE // 2 for sound in sounds.values())
        np.testing.assert_allclose(sounds["mixture"], sum(sounds[name] for name in STEMS), atol=4 / 32768)


@pytest.mark.parametrize("write", [write_clips, write_tracks])
def test_same_settings_reuse_whole_files_and_complete_missing_ones(write, tmp_path):
    write(tmp_path, 2, 0.2, RATE, seed=5)
    content = {file: file.read_bytes() for file in tmp_path.rglob("*.wav")}
    kept, lost = min(content), max(f for f in content if write is write_clips or f.name == "mixture.wav")
    kept.write_bytes(b"kept")  # would be overwritten if it were made again
    lost.unlink()
    write(tmp_path, 2, 0.2, RATE, seed=5)
    assert kept.read_bytes() == b"kept"
    assert lost.read_bytes() == content[lost]
    assert {file for file in tmp_path.rglob("*") if file.name.startswith(".")} == set()


@pytest.mark.parametrize("changed", [{"count": 3}, {"seconds": 0.3}, {"sample_rate": 8000}, {"seed": 6}])
def test_other_settings_are_refused_by_name(changed, tmp_path):
    settings = {"count": 2, "seconds": 0.2, "sample_rate": RATE, "seed": 5}
    write_clips(tmp_path, **settings)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    (name,) = changed
    with pytest.raises(FileExistsError, match=f"'{name}': {settings[name]}.*'{name}': {changed[name]}"):
        write_clips(tmp_path, **settings | changed)
    with pytest.raises(FileExistsError, match=r"'kind': 'clips'.*'kind': 'tracks'"):
        write_tracks(tmp_path, **settings)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_sounds_of_another_recipe_are_refused(tmp_path, monkeypatch):
    write_clips(tmp_path, 1, 0.1, RATE, seed=5)
    monkeypatch.setattr(synthetic, "RECIPE", synthetic.RECIPE + 1)
    with pytest.raises(FileExistsError, match="recipe"):
        write_clips(tmp_path, 1, 0.1, RATE, seed=5)


def test_foreign_folder_is_refused_and_left_alone(tmp_path):
    (tmp_path / "00000.wav").write_bytes(b"somebody's")
    with pytest.raises(FileExistsError, match=r"00000\.wav"):
        write_clips(tmp_path, 1, 0.1, RATE, seed=5)
    assert [file.name for file in tmp_path.iterdir()] == ["00000.wav"]
    assert (tmp_path / "00000.wav").read_bytes() == b"somebody's"


def test_interrupted_write_leaves_no_partial_file_and_is_taken_up_again(tmp_path, monkeypatch):
    def full_disk(file, sound, *args, **kwargs):
        file.write_bytes(b"RIFF")
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(soundfile, "write", full_disk)
        with pytest.raises(OSError, match="No space"):
            write_clips(tmp_path, 1, 0.1, RATE, seed=5)
    assert json.loads((tmp_path / synthetic.SETTINGS_FILE).read_text())["seed"] == 5
    assert list(tmp_path.glob("[!.]*.wav")) == []
    write_clips(tmp_path, 1, 0.1, RATE, seed=5)
    assert soundfile.info(tmp_path / "00000.wav").frames == RATE // 10
