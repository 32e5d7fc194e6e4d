"""Vibration of a rolling-element bearing, generated: no recording of a real machine.

A window holds sensor noise, harmonics of the shaft and, where the bearing is faulty, one burst of a resonance for every
time a rolling element meets the fault. How often that is follows from the geometry; here that of a 6205 bearing, whose
orders (meetings per turn of the shaft) are 3.585 for the outer race, 5.415 for the inner race and 4.714 for a ball,
which meets both races. Slip makes the meetings a little irregular; the inner race and the ball pass through the loaded
zone, so their bursts come and go with the shaft and the cage. Noise, speed and severity differ from window to window.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, hilbert, sosfilt

__all__ = ["CONDITIONS", "ORDERS", "RATE_HZ", "SAMPLES", "Windows", "generate"]

Floats = NDArray[np.float64]
#: of a window; the label of a condition is its place here
CONDITIONS = ("normal", "outer race", "inner race", "ball")
ORDERS = (3.585, 5.415, 4.714)
#: samples per second, and per window
RATE_HZ, SAMPLES = 12_000, 4096
_SHAFT_HZ, _CAGE_ORDER, _RESONANCE_HZ, _DECAY_PER_S = 29.95, 0.398, 3000.0, 800.0
_SLIP, _NOISE_G, _PEAK_G = 0.01, 0.06, 0.45
_AVERAGED, _CHUNK = 256, 500


@dataclass(frozen=True)
class Windows:
    """What is kept of n generated windows.

    Parameters
    ----------
    condition : (n,) label
    average : (n,) highest moving average of the rectified signal, in g: what the device computes
    features : (n, f) of the envelope's spectrum: what the remote classifier computes
    """

    condition: NDArray[np.intp]
    average: Floats
    features: Floats

    def take(self, rows: slice) -> Windows:
        """Some of them."""
        return Windows(self.condition[rows], self.average[rows], self.features[rows])


def generate(windows: int, faulty: float = 0.1, seed: int = 0) -> Windows:
    """Generate windows and keep what the two classifiers look at.

    Parameters
    ----------
    windows : how many
    faulty : share that is faulty, in equal parts outer race, inner race and ball
    seed : of everything drawn
    """
    draw = np.random.default_rng(seed)
    condition = np.where(draw.random(windows) < faulty, draw.integers(1, len(CONDITIONS), windows), 0)
    parts = [(_averages(signal), _features(signal)) for signal in _signals(condition, draw)]
    average, features = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Windows(condition, average, features)


def _signals(condition: NDArray[np.intp], draw: np.random.Generator) -> Iterator[Floats]:
    """(<= 500, 4096) accelerations in g."""
    time_s = np.arange(SAMPLES) / RATE_HZ
    for begin in range(0, len(condition), _CHUNK):
        here = condition[begin : begin + _CHUNK]
        noise = _NOISE_G * np.exp(0.15 * draw.normal(size=(len(here), 1)))
        signal = noise * draw.normal(size=(len(here), SAMPLES))
        shaft_hz = _SHAFT_HZ * (1.0 + 0.01 * draw.normal(size=len(here)))
        for harmonic in (1, 2, 3):
            phase = draw.uniform(0, 2 * np.pi, (len(here), 1))
            signal += 0.02 / harmonic * np.sin(2 * np.pi * harmonic * shaft_hz[:, None] * time_s + phase)
        for row in np.flatnonzero(here):
            signal[row] += _bursts(int(here[row]), float(shaft_hz[row]), time_s, draw)
        yield signal


def _bursts(condition: int, shaft_hz: float, time_s: Floats, draw: np.random.Generator) -> Floats:
    """(4096,) what a fault adds."""
    severity = _PEAK_G * np.exp(0.6 * draw.normal())
    rate_hz = ORDERS[condition - 1] * shaft_hz
    count = int(time_s[-1] * rate_hz) + 2
    at_s = (np.arange(count) + draw.random()) / rate_hz + _SLIP / rate_hz * draw.normal(size=count).cumsum()
    load_hz = (0.0, shaft_hz, _CAGE_ORDER * shaft_hz)[condition - 1]
    load = (1.0 + np.cos(2 * np.pi * load_hz * at_s + draw.uniform(0, 2 * np.pi))) / 2.0 if load_hz else 1.0
    height = severity * load * np.exp(0.1 * draw.normal(size=count))
    since_s = time_s[None, :] - at_s[:, None]
    after = np.maximum(since_s, 0.0)
    ringing = np.exp(-_DECAY_PER_S * after) * np.sin(2 * np.pi * _RESONANCE_HZ * after)
    return np.asarray(height @ ringing)


def _averages(signal: Floats) -> Floats:
    """(n,) highest moving average of the rectified signal."""
    total = np.cumsum(np.abs(signal), axis=1)
    moving = (total[:, _AVERAGED:] - total[:, :-_AVERAGED]) / _AVERAGED
    highest: Floats = moving.max(1)
    return highest


def _features(signal: Floats) -> Floats:
    """(n, 10) how far the envelope's spectrum stands out at the orders of the faults, and the kurtosis."""
    band = butter(4, (2000.0, 4000.0), "bandpass", fs=RATE_HZ, output="sos")
    filtered = sosfilt(band, signal, axis=1)
    envelope = np.abs(hilbert(filtered, axis=1))
    spectrum = np.abs(np.fft.rfft((envelope - envelope.mean(1, keepdims=True)) * np.hanning(SAMPLES), axis=1))
    frequency_hz = np.fft.rfftfreq(SAMPLES, 1.0 / RATE_HZ)
    floor = np.median(spectrum[:, (frequency_hz > 20) & (frequency_hz < 600)], axis=1)
    columns = []
    for order in ORDERS:
        for harmonic in (1, 2, 3):
            middle = harmonic * order * _SHAFT_HZ
            near = np.abs(frequency_hz - middle) <= 0.025 * middle
            columns.append(np.log(spectrum[:, near].max(1) / floor))
    centred = filtered - filtered.mean(1, keepdims=True)
    columns.append(np.log((centred**4).mean(1) / (centred**2).mean(1) ** 2))
    return np.stack(columns, 1)
