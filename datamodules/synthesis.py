"""Procedural sounds: four families of sources that play random music.

Two formulas make most of the sound, and neither needs a loop over samples:

- a sustained tone is a polynomial in a rotating number, Im sum_h w_h (b e^{i phi})^h, evaluated by Horner's rule, where
  the brightness b(t) <= 1 dulls high harmonics first, as breath or bow pressure does;
- a struck or plucked sound is a sum of decaying exponentials, sum_p a_p e^{s_p n}, which is a product of two small
  matrices, since e^{s (B k + r)} = e^{s B k} e^{s r}.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

Rng = np.random.Generator

NYQUIST_SHARE = 0.9  # partials stay below this share of the Nyquist frequency
MAX_HARMONICS = 60
SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 3, 5, 7, 10), (0, 2, 4, 7, 9))
BAR_RATIOS = (1.0, 2.756, 5.404, 8.933, 13.34, 18.64)  # transverse modes of a free uniform bar
VOWELS = np.array(  # the first three formants of a man's voice, Hz (Peterson and Barney, 1952)
    [(730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480), (570, 840, 2410), (490, 1350, 1690)]
)
FORMANT_WIDTHS = (90, 120, 180)  # Hz
ROOM_TONE = 0.003  # rms of the noise under a recording, relative to its peak


@dataclass(frozen=True)
class Song:
    """What the stems of one song share.

    Attributes:
        step: seconds of a sixteenth note.
        root: frequency of the key note, Hz.
        scale: semitones above the root.
    """

    step: float
    root: float
    scale: tuple[int, ...]

    @classmethod
    def drawn(cls, rng: Rng) -> Song:
        """A random tempo (90 to 170 beats a minute) and key."""
        return cls(15 / rng.uniform(90, 170), 16.35 * 2 ** rng.uniform(0, 1), SCALES[rng.integers(len(SCALES))])

    def pitches(self, low: float, high: float) -> np.ndarray:
        """The frequencies of the scale within [low, high], Hz, ascending."""
        semitones = (12 * np.arange(10)[:, None] + np.array(self.scale)).ravel()
        frequencies = self.root * 2 ** (semitones / 12)
        return frequencies[(frequencies >= low) & (frequencies <= high)]

    def melody(self, rng: Rng, seconds: float, low: float, high: float) -> Iterator[tuple[float, float, float]]:
        """Notes (start in s, length in s, frequency in Hz): a random walk over the scale, with short rests."""
        pitches = self.pitches(low, high)
        place = rng.integers(len(pitches))
        lengths = rng.choice((1, 2, 2, 3, 4, 6), 4)
        start = 0.0
        while start < seconds:
            length = self.step * lengths[rng.integers(4)]
            yield start, length, pitches[place]
            start += length + self.step * (rng.random() < 0.1)
            place = np.clip(place + rng.integers(-3, 4), 0, len(pitches) - 1)


def pitched(
    rng: Rng,
    samples: int,
    sample_rate: int,
    song: Song | None = None,
    register: tuple[float, float] | None = None,
    lines: int | None = None,
) -> np.ndarray:
    """Sustained tones, as of winds, bowed strings, organs and synthesizers.

    Args:
        rng: source of every choice.
        samples: length T.
        sample_rate: Hz.
        song: tempo and key; drawn if absent.
        register: lowest and highest fundamental, Hz; drawn if absent.
        lines: melodies that play together; one to three if absent.

    Returns:
        (T,), float32, peak 1, without DC.
    """
    return _performed(Sustained.drawn(rng), rng, samples, sample_rate, song, register, lines)


def plucked(
    rng: Rng,
    samples: int,
    sample_rate: int,
    song: Song | None = None,
    register: tuple[float, float] | None = None,
    lines: int | None = None,
) -> np.ndarray:
    """Decaying sounds, as of plucked strings, pianos, bells and mallets; arguments and result as `pitched`."""
    return _performed(Struck.drawn(rng), rng, samples, sample_rate, song, register, lines)


def percussive(rng: Rng, samples: int, sample_rate: int, song: Song | None = None) -> np.ndarray:
    """A drum kit in a pattern of sixteen steps; arguments and result as `pitched`."""
    song = song or Song.drawn(rng)
    backbeat = np.zeros(16)
    backbeat[[4, 12]] = 1
    downbeat = np.zeros(16)
    downbeat[[0, 8] if rng.random() < 0.5 else [0, 4, 8, 12]] = 1
    pulse = np.zeros(16)
    pulse[:: rng.integers(1, 3)] = 1
    kick = _drum(rng, sample_rate, pitch=(40, 75), sweep=(2, 8), ring=(0.06, 0.2), noise=(0.01, 0.1), band=(1e3, 4e3))
    snare = _drum(rng, sample_rate, pitch=(150, 260), sweep=(1, 2), ring=(0.03, 0.1), noise=(0.5, 3), band=(800, 5e3))
    hat = _drum(rng, sample_rate, pitch=(300, 900), sweep=(1, 2), ring=(0.01, 0.08), noise=(1, 30), band=(3e3, 7e3))
    parts = (
        (kick, draw(rng, 0.5, 1), np.maximum(downbeat, rng.random(16) < rng.uniform(0, 0.3))),
        (snare, draw(rng, 0.3, 1), np.maximum(backbeat, 0.5 * (rng.random(16) < rng.uniform(0, 0.3)))),
        (hat, draw(rng, 0.1, 0.7), pulse),
    )
    sound = np.zeros(samples, np.float32)
    for step in range(int(samples / sample_rate / song.step) + 1):
        for drum, level, pattern in parts:
            if pattern[step % 16]:
                velocity = np.float32(level * pattern[step % 16] * rng.uniform(0.6, 1))
                _add(sound, velocity * drum, round(step * song.step * sample_rate))
    return peaked(sound)


def voice(rng: Rng, samples: int, sample_rate: int, song: Song | None = None) -> np.ndarray:
    """A buzzing source through moving formants, with consonants and pauses; arguments and result as `pitched`.

    It sings where a song is given, and else sings or speaks by chance.
    """
    score = np.array(list(_syllables(rng, samples / sample_rate, song)))
    clock = np.arange(samples) / sample_rate
    pitch, loudness, hiss = (np.interp(clock, score[:, 0], score[:, column]) for column in (1, 2, 3))
    vibrato = rng.uniform(0, 0.012) * np.sin(2 * np.pi * (rng.uniform(4.5, 6.5) * clock + rng.random()))
    frequency = pitch * (1 + vibrato)
    harmonics = _harmonics_below(frequency.max(), sample_rate)
    buzz = _tone(np.cumsum(frequency) / sample_rate, harmonics ** -rng.uniform(0.8, 1.4), np.float32(1))
    noise = rng.standard_normal(samples, np.float32)

    frame = 2 ** round(np.log2(0.032 * sample_rate))
    bins = np.fft.rfftfreq(frame, 1 / sample_rate)
    centres = np.arange(samples // (frame // 2) + 2) * (frame // 2) / sample_rate
    tract = np.zeros((len(centres), len(bins)))
    for number, width in enumerate(FORMANT_WIDTHS):
        formant = np.interp(centres, score[:, 0], score[:, 4 + number])[:, None]
        tract += 0.6**number / (1 + ((bins - formant) / width) ** 2)
    teeth = _band(bins, min(draw(rng, 2e3, 6e3), 0.3 * sample_rate))
    return peaked(_filtered(buzz * loudness, tract) + _filtered(noise * hiss, np.broadcast_to(teeth, tract.shape)))


def _syllables(rng: Rng, seconds: float, song: Song | None) -> Iterator[tuple[float, ...]]:
    """Breakpoints of a voice: time in s, pitch in Hz, loudness of the buzz and of the hiss, three formants in Hz."""
    sings = song is not None or rng.random() < 0.5
    song = song or Song.drawn(rng)
    lowest = draw(rng, 85, 300)
    pitches = song.pitches(lowest, 2.2 * lowest)
    tract = rng.uniform(0.9, 1.25)  # a shorter tract has higher formants
    place = rng.integers(len(pitches))
    start = 0.0
    while start < seconds:
        if sings:
            length = song.step * float(rng.integers(2, 6))
            place = np.clip(place + rng.integers(-2, 3), 0, len(pitches) - 1)
            begin = end = pitches[place]
        else:
            length = rng.uniform(0.16, 0.35)
            begin, end = lowest * rng.uniform(1, 1.7, 2)
        vowel, glide = tract * VOWELS[rng.integers(len(VOWELS), size=2)]
        onset = start + rng.uniform(0.03, 0.09) * (rng.random() < 0.6)  # after a consonant, or none
        hiss = draw(rng, 0.05, 0.4) * (onset > start)
        level = draw(rng, 0.4, 1)
        yield start, begin, 0, hiss, *vowel
        yield onset + 0.005, begin, 0.1 * level, hiss, *vowel
        yield onset + 0.025, begin, level, 0, *vowel
        yield start + length - 0.03, end, 0.7 * level, 0, *glide
        yield start + length - 0.005, end, 0, 0, *glide
        start += length + rng.uniform(0.05, 0.2) * (rng.random() < 0.2)


@dataclass(frozen=True)
class Sustained:
    """An instrument that holds its notes.

    Attributes:
        weights: complex amplitudes of the harmonics, (H,).
        attack, release: seconds.
        dull, bright: brightness at the edges of a note and at its height.
        vibrato: relative depth.
        rate: of the vibrato, Hz.
    """

    weights: np.ndarray
    attack: float
    release: float
    dull: float
    bright: float
    vibrato: float
    rate: float

    @classmethod
    def drawn(cls, rng: Rng) -> Sustained:
        harmonics = np.arange(1, MAX_HARMONICS + 1)
        weights = harmonics ** -rng.uniform(0.5, 2) * np.exp(rng.normal(0, 0.6, MAX_HARMONICS))
        weights[1::2] *= draw(rng, 0.05, 1)  # few even harmonics: a closed pipe
        phases = np.exp(2j * np.pi * rng.random(MAX_HARMONICS))
        bright = rng.uniform(0.8, 1)
        return cls(
            phases * weights / np.sqrt(np.sum(weights**2)),
            attack=draw(rng, 0.005, 0.1),
            release=draw(rng, 0.02, 0.15),
            dull=bright * rng.uniform(0.6, 1),
            bright=bright,
            vibrato=rng.uniform(0, 0.01),
            rate=rng.uniform(4, 7),
        )

    def note(self, frequency: float, samples: int, sample_rate: int) -> np.ndarray:
        """A note held for `samples`, then released: (T',), float32."""
        release = round(self.release * sample_rate)
        clock = np.arange(samples + release) / sample_rate
        held = samples / sample_rate
        bend = self.vibrato / (2 * np.pi * self.rate) * np.sin(2 * np.pi * self.rate * clock)
        envelope = np.minimum(1, clock / self.attack) * np.clip((held + self.release - clock) / self.release, 0, 1)
        brightness = self.dull + (self.bright - self.dull) * envelope
        harmonics = _harmonics_below(frequency * (1 + self.vibrato), sample_rate)
        tone = _tone(frequency * (clock + bend), self.weights[: len(harmonics)], brightness.astype(np.float32))
        return tone * envelope.astype(np.float32)


@dataclass(frozen=True)
class Struck:
    """An instrument whose notes ring and fade: a string (nearly harmonic) or a bar (not harmonic at all).

    Attributes:
        ratios: of the partials to the fundamental, (P,).
        weights: complex amplitudes of the partials, (P,).
        decay: of the fundamental, 1/s at 220 Hz; it grows with the square root of the pitch.
        damping: how much faster each higher partial decays.
        attack: seconds.
    """

    ratios: np.ndarray
    weights: np.ndarray
    decay: float
    damping: float
    attack: float

    @classmethod
    def drawn(cls, rng: Rng) -> Struck:
        if rng.random() < 0.7:
            number = np.arange(1, MAX_HARMONICS + 1)
            ratios = number * np.sqrt(1 + draw(rng, 1e-5, 1e-3) * number**2)  # a stiff string
            weights = np.sin(np.pi * rng.uniform(0.05, 0.5) * number) / number ** rng.uniform(0.5, 1.5)  # plucked there
        else:
            ratios = np.array(BAR_RATIOS) * np.exp(rng.normal(0, 0.01, len(BAR_RATIOS)))
            weights = rng.uniform(0.3, 1, len(ratios)) / ratios ** rng.uniform(0.3, 1)
        phases = np.exp(2j * np.pi * rng.random(len(ratios)))
        return cls(
            ratios,
            phases * weights / np.sqrt(np.sum(weights**2)),
            decay=draw(rng, 1.5, 8),
            damping=draw(rng, 0.05, 0.8),
            attack=draw(rng, 0.002, 0.01),
        )

    def note(self, frequency: float, samples: int, sample_rate: int) -> np.ndarray:
        """A note damped after `samples`: (T',), float32."""
        length = samples + round(0.05 * sample_rate)
        kept = self.ratios * frequency < NYQUIST_SHARE * sample_rate / 2
        ratios = self.ratios[kept]
        decays = self.decay * np.sqrt(frequency / 220) * (1 + self.damping * (ratios - 1))
        exponents = (2j * np.pi * frequency * ratios - decays) / sample_rate
        sound = _ringing(self.weights[kept], exponents, length)
        ramp = np.linspace(0, 1, max(2, round(self.attack * sample_rate)), dtype=np.float32)
        sound[: len(ramp)] *= ramp[:length]
        sound[samples:] *= np.linspace(1, 0, length - samples, dtype=np.float32)
        return sound


def _performed(
    instrument: Sustained | Struck,
    rng: Rng,
    samples: int,
    sample_rate: int,
    song: Song | None,
    register: tuple[float, float] | None,
    lines: int | None,
) -> np.ndarray:
    """An instrument plays `lines` random melodies at once, (T,), peak 1."""
    song = song or Song.drawn(rng)
    if register is None:
        lowest = draw(rng, 60, 500)
        register = (lowest, 3 * lowest)
    sound = np.zeros(samples, np.float32)
    for _ in range(lines or rng.integers(1, 4)):
        for start, length, frequency in song.melody(rng, samples / sample_rate, *register):
            note = instrument.note(frequency, round(length * sample_rate), sample_rate)
            _add(sound, np.float32(rng.uniform(0.5, 1)) * note, round(start * sample_rate))
    return peaked(sound)


def _drum(
    rng: Rng,
    sample_rate: int,
    pitch: tuple[float, float],
    sweep: tuple[float, float],
    ring: tuple[float, float],
    noise: tuple[float, float],
    band: tuple[float, float],
) -> np.ndarray:
    """One stroke, (T',), peak 1: a sine that falls from `sweep` times its pitch, and a burst of noise about a band."""
    frequency, ratio, decay = draw(rng, *pitch), draw(rng, *sweep), draw(rng, *ring)
    clock = np.arange(round(5 * decay * sample_rate)) / sample_rate
    fall = 0.2 * decay
    turns = frequency * (clock + (ratio - 1) * fall * (1 - np.exp(-clock / fall)))
    sine = np.sin(2 * np.pi * turns)
    response = _band(np.fft.rfftfreq(len(clock), 1 / sample_rate), min(draw(rng, *band), 0.4 * sample_rate))
    burst = np.fft.irfft(np.fft.rfft(rng.standard_normal(len(clock))) * response, len(clock))
    stroke = sine / np.sqrt(np.mean(sine**2)) + draw(rng, *noise) * burst / np.sqrt(np.mean(burst**2))
    return peaked(stroke * np.minimum(1, clock / 0.001) * np.exp(-clock / decay) * np.linspace(1, 0, len(clock)))


def in_a_room(rng: Rng, sound: np.ndarray) -> np.ndarray:
    """The sound with faint white noise under it: no recording has empty bins, and log spectra would dwell on them."""
    noise = rng.standard_normal(len(sound), dtype=np.float32)
    return sound + np.float32(ROOM_TONE) * np.abs(sound).max() * noise


def draw(rng: Rng, low: float, high: float) -> float:
    """A log-uniform number in [low, high)."""
    return float(low * (high / low) ** rng.random())


def _harmonics_below(frequency: float, sample_rate: int) -> np.ndarray:
    """1, 2, ... H as floats, where H times the frequency is below the band limit and H <= MAX_HARMONICS."""
    limit = int(NYQUIST_SHARE * sample_rate / 2 / frequency)
    return np.arange(1.0, max(1, min(MAX_HARMONICS, limit)) + 1)


def _tone(turns: np.ndarray, weights: np.ndarray, brightness: np.ndarray | np.float32) -> np.ndarray:
    """Im sum_h w_h (b e^{2 pi i turns})^h for h = 1 ... H, by Horner's rule: (T,), float32."""
    rotation = brightness * np.exp(np.complex64(2j * np.pi) * (turns % 1).astype(np.float32))
    total = np.zeros_like(rotation)
    for weight in weights[::-1].astype(np.complex64):
        total += weight
        total *= rotation
    return total.imag


def _ringing(weights: np.ndarray, exponents: np.ndarray, samples: int, block: int = 256) -> np.ndarray:
    """Im sum_p a_p e^{s_p n} for n = 0 ... T - 1, as a matrix product: (T,), float32."""
    blocks = np.exp(np.outer(block * np.arange(-(-samples // block)), exponents)) * weights
    inner = np.exp(np.outer(exponents, np.arange(block)))
    return (blocks.astype(np.complex64) @ inner.astype(np.complex64)).imag.ravel()[:samples].copy()


def _band(frequencies: np.ndarray, centre: float) -> np.ndarray:
    """A broad resonance about a centre frequency that falls by 12 dB an octave to both sides, zero at DC."""
    ratio = frequencies / centre
    return ratio**2 / (1 + ratio**4)


def _filtered(signal: np.ndarray, response: np.ndarray) -> np.ndarray:
    """A signal (T,) through a magnitude response for each half frame, (T // hop + 2, hop + 1), by overlap-add."""
    count, hop = len(response), response.shape[1] - 1
    window = np.sin(np.pi * (np.arange(2 * hop) + 0.5) / (2 * hop))
    padded = np.zeros((count + 1) * hop)
    padded[hop : hop + len(signal)] = signal
    frames = np.lib.stride_tricks.sliding_window_view(padded, 2 * hop)[::hop]
    halves = (np.fft.irfft(np.fft.rfft(frames * window) * response) * window).reshape(count, 2, hop)
    return (halves[:-1, 1] + halves[1:, 0]).ravel()[: len(signal)]


def _add(sound: np.ndarray, note: np.ndarray, start: int) -> None:
    """Adds a note to a sound in place, cut at the sound's end."""
    end = min(len(sound), start + len(note))
    if start < end:
        sound[start:end] += note[: end - start]


def peaked(sound: np.ndarray, peak: float = 1.0) -> np.ndarray:
    """A sound without DC at the given peak, float32."""
    sound = sound - sound.mean()
    return (sound * (peak / np.abs(sound).max())).astype(np.float32)
