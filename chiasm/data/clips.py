"""Sources from users' video files: clips of frames, with or without captions and sound.

A clip is a stretch of one file: its frames lie on a grid that begins with the file's first frame,
and are decoded when a row is due, with those of the clips that begin behind the same key frame.
Opening a source reads every file once: those that are cut off, too short or otherwise unusable
(:mod:`chiasm.video.extent`) are left out and counted.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import floor
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from chiasm.data.copies import place_of, taken_out
from chiasm.data.folders import FolderSource, Selection
from chiasm.data.index import Found
from chiasm.data.media import VIDEO, Medium
from chiasm.data.reading import Unusable
from chiasm.data.survey import hashed
from chiasm.data.table import Table, cells
from chiasm.documents import Continuous, Document, Image, Sound, Text
from chiasm.video.errors import VideoError
from chiasm.video.frame import VideoFrame, content_hash
from chiasm.video.heard import VideoSound
from chiasm.video.rule import RULE, Matrix
from chiasm.waveform import RULE as SOUND_RULE

if TYPE_CHECKING:
    from chiasm.video.extent import Extent

_STRETCH_SECONDS = 4.0
"""Least length of the stretches whose clips are read one after another."""
_REMEMBERED_RUNS = 64

Ticks = tuple[np.ndarray, Fraction]
"""Stamps of a file's frames, int64 [F], and the seconds of a tick."""
_NO_TICKS: Ticks = np.zeros(0, np.int64), Fraction(1)


@dataclass(frozen=True)
class Sampling:
    """Which frames of a file make its clips."""

    frames: int
    """Frames of a clip."""
    rate: Fraction | None
    """Frames per second; None: every ``stride``-th frame of the file."""
    stride: int
    spacing: int
    """Sampled frames from the begin of one clip to that of the next."""
    most: int
    """Most clips of a file, spread evenly; 0: all."""
    untagged: Matrix
    sound: bool = False
    """Whether each frame is followed by what is heard until the next one; only at a rate."""

    def begins(self, extent: Extent) -> list[int]:
        """Returns the numbers of the sampled frames with which a file's clips begin."""
        if self.rate is None:
            sampled = -(-len(extent.ticks_F) // self.stride)
        else:  # stamps are rounded, and the last frame stays for a while
            sampled = floor((extent.last + extent.slack) * self.rate) + 1
        begins = range(0, sampled - self.frames + 1, self.spacing)
        if not self.most or len(begins) <= self.most:
            return list(begins)
        return [begins[(2 * n + 1) * len(begins) // (2 * self.most)] for n in range(self.most)]

    def times(self, ticks: Ticks, numbers: Iterable[int]) -> list[Fraction]:
        """Returns the times of sampled frames, in seconds since the file's first one."""
        if self.rate is not None:
            return [each / self.rate for each in numbers]
        ticks_F, time_base = ticks
        return [int(ticks_F[each * self.stride]) * time_base for each in numbers]

    def stretches(self, extent: Extent, begins: Sequence[int]) -> list[int]:
        """Returns the number of the stretch in which each clip begins.

        Stretches begin with key frames, and are some seconds long.
        """
        firsts = [0.0]
        for key in (extent.key_ticks_K * float(extent.time_base)).tolist():
            if key >= firsts[-1] + _STRETCH_SECONDS:
                firsts.append(key)
        times = self.times((extent.ticks_F, extent.time_base), begins)
        return [bisect_right(firsts, float(time + extent.slack)) for time in times]


class VideoSource(FolderSource):
    """Clips of videos: ["video:", Image(target), ...], or with captions, in both directions.

    With ``captioned``, documents 2i and 2i + 1 are clip i: [Image(context), ..., "caption: ..."]
    and ["video: ...", Image(target), ...]. Several captions of a video take turns. With sound, each
    Image is followed by its Sound.

    Shape suffixes: N clips.
    """

    medium: ClassVar[Medium] = VIDEO

    def __init__(
        self,
        name: str,
        table: Table,
        *columns: str,
        sampling: Sampling,
        captioned: bool,
        **own: Any,
    ) -> None:
        self._sampling, self._captioned = sampling, captioned
        self._per_clip = 2 if captioned else 1
        self._found: list[tuple[int, int, int, int]] = []
        self._ticks: dict[int, Ticks] = {}
        self._copies: dict[int, str] = {}
        self._together = lru_cache(_REMEMBERED_RUNS)(self._times_of_run)
        self._untagged = Counter[str]()
        self.longest = ""
        """The longest caption."""
        super().__init__(name, table, *columns, **own)

    def _described(self) -> str:
        return f"{self._rule} {super()._described()}"

    @property
    def _rule(self) -> str:
        """All that documents depend on beside the files."""
        sound = f"sound {SOUND_RULE} " if self._sampling.sound else ""
        return f"{RULE} {sound}{self._sampling}"

    def _surveyed(self) -> Found:
        found = super()._surveyed()
        facts = {**found.facts, "untagged": dict(self._untagged), "longest": self.longest}
        facts["copies"] = list(self._copies.items())
        ticks = [own for own, _ in self._ticks.values()]
        bases = [(base.numerator, base.denominator) for _, base in self._ticks.values()]
        arrays = {
            # Row, number of the first sampled frame, identity and stretch of each clip.
            "clips": np.array(self._found, dtype=np.int64).reshape(-1, 4),
            "ticks": np.concatenate([np.zeros(0, np.int64), *ticks]),
            "tick_ends": np.cumsum([len(own) for own in ticks], dtype=np.int64),
            "tick_rows": np.array([*self._ticks], dtype=np.int64),
            "bases": np.array(bases, dtype=np.int64).reshape(-1, 2),
        }
        self._found.clear()
        return Found(facts, {**found.arrays, **arrays}, found.looked_at)

    def _take(self, found: Found) -> None:
        super()._take(found)
        self._untagged = Counter(found.facts["untagged"])
        self.longest = found.facts["longest"]
        self._copies = dict(found.facts["copies"])
        arrays = found.arrays
        self._clips_N4 = arrays["clips"]
        # Clips of one stretch of one row follow one another.
        begins_N = (np.diff(self._clips_N4[:, [0, 3]], axis=0, prepend=-1) != 0).any(axis=1)
        self._run_N = np.cumsum(begins_N) - 1
        ticks = np.split(arrays["ticks"], arrays["tick_ends"][:-1])
        bases = [Fraction(*base) for base in arrays["bases"].tolist()]
        rows = arrays["tick_rows"].tolist()
        self._ticks = dict(zip(rows, zip(ticks, bases, strict=False), strict=False))

    def __len__(self) -> int:
        return self._per_clip * len(self._clips_N4)

    def variant(self, index: int, turn: int) -> Document:
        """Returns a document with one of its captions."""
        clip = index // self._per_clip
        path, *words = self._row(int(self._clips_N4[clip, 0]))
        items = self._items(clip, path, target=not self._captioned or index % 2 == 1)
        if not self._captioned:
            return Document((Text("video:"), *items))
        text = words[0][(turn + index) % len(words[0])]
        if index % 2:
            return Document((Text(f"video: {text}"), *items))
        return Document((*items, Text(f"caption: {text}")))

    def _items(self, clip: int, path: Path, *, target: bool) -> Iterator[Continuous]:
        """Yields the frames of a clip, and what is heard while each is shown."""
        together, sampling = self._together(int(self._run_N[clip])), self._sampling
        for time in self._times(clip):
            yield Image(VideoFrame(path, time, sampling.untagged, together), target)
            if sampling.sound and sampling.rate:
                yield Sound(VideoSound(path, time, time + 1 / sampling.rate), target)

    @property
    def identities(self) -> np.ndarray:
        """int64 [documents]: equal for clips of equal files, or within a group."""
        return np.repeat(self._clips_N4[:, 2], self._per_clip)

    @property
    def runs(self) -> np.ndarray:
        """int64 [documents]: equal for those whose frames are decoded together.

        Frames to be seen and frames to be drawn are apart: they are the same.
        """
        way_D = np.arange(len(self)) % self._per_clip
        return self._run_N.repeat(self._per_clip) * self._per_clip + way_D

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the user: the number of clips, and colours that had to be assumed."""
        files = len(np.unique(self._clips_N4[:, 0]))
        notes = [f"{len(self._clips_N4):,} clips of {files:,} videos"]
        if self._sampling.sound and self._sampling.rate:
            seconds = float(1 / self._sampling.rate)
            notes.append(f"each frame is followed by {seconds:.4g} seconds of sound")
        assumed = [f"{count:,} as {matrix}" for matrix, count in sorted(self._untagged.items())]
        if assumed:
            told = ", ".join(assumed)
            notes.append(f"videos that name no color matrix are read by untagged_matrix: {told}")
        return tuple(notes)

    def selected(self, indices: np.ndarray) -> Selection:
        """Returns some of the documents as a source."""
        return _Clips(self, indices)

    def _content(self, number: int) -> tuple[bytes, ...]:
        from chiasm.video.extent import read_extent  # what only reads a recipe needs no PyAV

        path, *words = self._row(number)
        try:
            extent, content = read_extent(path), content_hash(path)
            if self._sampling.sound:
                from chiasm.video.track import open_track

                open_track(path)
        except VideoError as error:
            raise Unusable(error.reason, str(error)) from error
        begins = self._sampling.begins(extent)
        if not begins:
            raise Unusable("shorter than a clip", str(path))
        own = self._group(number) or content
        identity, stretches = hashed(own), self._sampling.stretches(extent, begins)
        pairs = zip(begins, stretches, strict=True)
        self._found += [(number, begin, identity, stretch) for begin, stretch in pairs]
        if self._sampling.rate is None:
            self._ticks[number] = extent.ticks_F, extent.time_base
        self._note(extent)
        self.varied |= any(len(texts) > 1 for texts in words)
        self.longest = max((self.longest, *(text for texts in words for text in texts)), key=len)
        return own, content, self._rule.encode(), *self._said(*words)

    def _row(self, number: int) -> tuple[Any, ...]:
        """Returns the file of a row, and its texts; one without a file of its own is copied once.

        A video in a tar or in a table is not read again for each of its clips.
        """
        copy = place_of(self._copies[number]) if number in self._copies else None
        if copy is not None and copy.exists():
            words = self._columns[1:]
            row = cells(self._table, number, *words)
            return copy, *(self._words(row, column) for column in words)
        data, *texts = super()._row(number)
        if not isinstance(data, Path):
            data = taken_out(data, self._table.file(number))
            self._copies[number] = data.name
        return data, *texts

    def _times(self, clip: int) -> list[Fraction]:
        """Returns the times of a clip's frames, in seconds since the file's first one."""
        row, begin, *_ = self._clips_N4[clip].tolist()
        ticks = self._ticks.get(row, _NO_TICKS)
        return self._sampling.times(ticks, range(begin, begin + self._sampling.frames))

    def _times_of_run(self, run: int) -> tuple[Fraction, ...]:
        """Returns the times of all frames of a run's clips, in order."""
        first, last = np.searchsorted(self._run_N, [run, run + 1]).tolist()
        return tuple(sorted({time for clip in range(first, last) for time in self._times(clip)}))

    def _note(self, extent: Extent) -> None:
        if not extent.names_matrix:
            by_size = "bt709" if extent.is_hd else "bt601"
            untagged = self._sampling.untagged
            self._untagged[by_size if untagged == "by_size" else untagged] += 1


class _Clips(Selection):
    """Clips of a source, which rows must hold whole: frames and caption belong together."""

    def __init__(self, source: VideoSource, indices: np.ndarray) -> None:
        super().__init__(source, indices)
        self._longest = source.longest
        self.runs = source.runs[indices]
        """See :class:`~chiasm.capabilities.InRuns`."""

    @property
    def shorter(self) -> str:
        """Advice on the setting that makes documents shorter."""
        return f"lower stream.sources.{self.name}.frames"

    def longest_documents(self) -> Iterator[Document]:
        """Yields a document as long as the longest one."""
        first = self[0]
        words = Text(f"video: {self._longest}") if self._longest else Text("video:")
        yield Document((words, *first.items))
