"""Sounds of all kinds as float32 samples at one rate; no other folder opens sounds.

resampling.py  another sampling rate
cut_off.py     files that end before their own structure does
samples.py     sounds as they are given: samples, files, parts of files
mp3.py         MP3 files that do not say how long they are
part.py        what is read of a file
libsndfile.py  WAV, AIFF, FLAC, MP3, Ogg
ffmpeg.py      all other formats
reading.py     the rule, and decoding by it
"""

from chiasm.waveform.reading import RULE, decoded, measured
from chiasm.waveform.samples import Given, Held, Length, Segment, Waveform, described, held

__all__ = [
    "RULE",
    "Given",
    "Held",
    "Length",
    "Segment",
    "Waveform",
    "decoded",
    "described",
    "held",
    "measured",
]
