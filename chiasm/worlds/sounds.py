"""Sounds of things: which thing makes which, one period of each as a waveform, and their lumps.

A sound is one period long and begins anew with every period, so that what a place sounds like does
not depend on when one listens. Its volume falls with the distance, steeply near by, and is nothing
at ``REACH_UNITS``; walls do not muffle it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

SAMPLES_PER_SECOND = 22_050
SAMPLES_PER_TIC = SAMPLES_PER_SECOND // 35
"""The engine counts time in tics of 1/35 s."""
PERIOD_TICS = 14
PERIOD_SAMPLES = PERIOD_TICS * SAMPLES_PER_TIC
"""Samples of one period, on each of two sides."""
FULL_UNITS, REACH_UNITS = 50, 300
"""Map units up to which a sound has its full volume, and from which on it has none."""
_VOLUME = 0.6
"""Of each sound, so that several near ones together stay in range."""

_SECONDS = np.arange(PERIOD_SAMPLES) / SAMPLES_PER_SECOND


@dataclass(frozen=True, slots=True)
class Voice:
    """What one kind of thing sounds like."""

    what: str
    verb: str
    thing: str
    """Name of the kind of things that sound so."""
    wave: Callable[[], np.ndarray]
    """One period: float64 [PERIOD_SAMPLES], at most 1 after :meth:`samples` has scaled it."""

    @property
    def name(self) -> str:
        """Name in the engine's table of sounds."""
        return f"chiasm/{self.what}"

    @property
    def lump(self) -> str:
        """Name of its lump, at most eight characters."""
        return f"CHI{self.what}".upper()

    def samples(self) -> np.ndarray:
        """Returns one period at full volume, float64 [PERIOD_SAMPLES] from -1 to 1."""
        wave = self.wave()
        return wave / np.abs(wave).max()


def _bell() -> np.ndarray:
    """Returns a stroke: partials of a bell, the high ones fading first."""
    partials = ((1.0, 7.0), (2.0, 10.0), (2.76, 14.0), (5.4, 22.0))
    return sum(
        (_sine(660.0 * ratio) * np.exp(-fade * _SECONDS) / ratio for ratio, fade in partials),
        start=np.zeros(PERIOD_SAMPLES),
    )


def _drip() -> np.ndarray:
    """Returns a short rising chirp."""
    return np.sin(2 * np.pi * (700.0 + 6000.0 * _SECONDS) * _SECONDS) * np.exp(-28.0 * _SECONDS)


def _hum() -> np.ndarray:
    """Returns a low chord of whole waves, without a seam."""
    return _sine(100.0) + _sine(200.0) / 2 + _sine(300.0) / 4


def _buzz() -> np.ndarray:
    """Returns a saw that flutters, of whole waves."""
    saw = sum((_sine(175.0 * n) / n for n in range(1, 25)), start=np.zeros(PERIOD_SAMPLES))
    return saw * (1.0 + 0.6 * _sine(25.0))


def _sine(hertz: float) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * _SECONDS)


VOICES = (
    Voice("bell", "rings", "skull", _bell),
    Voice("drip", "falls", "barrel", _drip),
    Voice("hum", "drones", "blue torch", _hum),
    Voice("buzz", "rasps", "red torch", _buzz),
)
VOICE_OF_THING = {voice.thing: voice for voice in VOICES}


def sound_lumps() -> list[tuple[str, bytes]]:
    """Returns names and bytes of the lumps of all sounds, and of the table that names them."""
    table = "".join(
        f"{voice.name} {voice.lump}\n$limit {voice.name} 0\n$volume {voice.name} {_VOLUME}\n"
        f"$rolloff {voice.name} {FULL_UNITS} {REACH_UNITS}\n"
        for voice in VOICES
    )
    return [("SNDINFO", table.encode()), *((voice.lump, _lump(voice)) for voice in VOICES)]


def _lump(voice: Voice) -> bytes:
    """Returns a sound in the engine's format: a header and 8 bits a sample."""
    samples = np.round(127.5 + 127.0 * voice.samples()).astype(np.uint8)
    return struct.pack("<HHI", 3, SAMPLES_PER_SECOND, len(samples)) + samples.tobytes()
