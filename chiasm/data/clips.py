"""Sources from users' video files: clips of frames at a fixed rate, with or without captions.

A clip is a stretch of one file: its frames lie on a grid that begins with the file's first frame,
and are decoded when a row is due. Opening a source reads every file once: those that are cut off,
too short or otherwise unusable (:mod:`chiasm.video.extent`) are left out and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from chiasm.data.folders import FolderSource, Selection
from chiasm.data.index import Found
from chiasm.data.media import VIDEO, Medium
from chiasm.data.reading import Unusable
from chiasm.data.survey import hashed
from chiasm.data.table import Table
from chiasm.documents import Document, Image, Text
from chiasm.video.errors import VideoError
from chiasm.video.frame import VideoFrame, content_hash
from chiasm.video.rule import RULE, Matrix

if TYPE_CHECKING:
    from chiasm.video.extent import Extent


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


class VideoSource(FolderSource):
    """Clips of videos: ["video:", Image(target), ...], or with captions, in both directions.

    With ``captioned``, documents 2i and 2i + 1 are clip i: [Image(context), ..., "caption: ..."]
    and ["video: ...", Image(target), ...]. Several captions of a video take turns.

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
        self._found: list[tuple[int, int, int]] = []
        self._ticks: dict[int, tuple[np.ndarray, Fraction]] = {}
        self._untagged = Counter[str]()
        self.longest = ""
        """The longest caption."""
        super().__init__(name, table, *columns, **own)

    def _described(self) -> str:
        return f"{RULE} {self._sampling} {super()._described()}"

    def _surveyed(self) -> Found:
        found = super()._surveyed()
        facts = {**found.facts, "untagged": dict(self._untagged), "longest": self.longest}
        ticks = [own for own, _ in self._ticks.values()]
        bases = [(base.numerator, base.denominator) for _, base in self._ticks.values()]
        arrays = {
            # Row, number of the first sampled frame, and identity of each clip.
            "clips": np.array(self._found, dtype=np.int64).reshape(-1, 3),
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
        arrays = found.arrays
        self._clips_N3 = arrays["clips"]
        ticks = np.split(arrays["ticks"], arrays["tick_ends"][:-1])
        bases = [Fraction(*base) for base in arrays["bases"].tolist()]
        rows = arrays["tick_rows"].tolist()
        self._ticks = dict(zip(rows, zip(ticks, bases, strict=False), strict=False))

    def __len__(self) -> int:
        return self._per_clip * len(self._clips_N3)

    def variant(self, index: int, turn: int) -> Document:
        """Returns a document with one of its captions."""
        number, begin, _ = self._clips_N3[index // self._per_clip].tolist()
        path, *words = self._row(number)
        frames = [
            VideoFrame(path, time, self._sampling.untagged) for time in self._times(number, begin)
        ]
        if not self._captioned:
            return Document((Text("video:"), *(Image(each, target=True) for each in frames)))
        text = words[0][(turn + index) % len(words[0])]
        if index % 2:
            shown = (Image(each, target=True) for each in frames)
            return Document((Text(f"video: {text}"), *shown))
        seen = (Image(each, target=False) for each in frames)
        return Document((*seen, Text(f"caption: {text}")))

    @property
    def identities(self) -> np.ndarray:
        """int64 [documents]: equal for clips of equal files, or within a group."""
        return np.repeat(self._clips_N3[:, 2], self._per_clip)

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the user: the number of clips, and colours that had to be assumed."""
        files = len(np.unique(self._clips_N3[:, 0]))
        notes = [f"{len(self._clips_N3):,} clips of {files:,} videos"]
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
        except VideoError as error:
            raise Unusable(error.reason, str(error)) from error
        begins = self._sampling.begins(extent)
        if not begins:
            raise Unusable("shorter than a clip", str(path))
        own = self._group(number) or content
        self._found += [(number, begin, hashed(own)) for begin in begins]
        if self._sampling.rate is None:
            self._ticks[number] = extent.ticks_F, extent.time_base
        self._note(extent)
        self.varied |= any(len(texts) > 1 for texts in words)
        self.longest = max((self.longest, *(text for texts in words for text in texts)), key=len)
        return own, content, f"{RULE} {self._sampling}".encode(), *self._said(*words)

    def _row(self, number: int) -> tuple[Any, ...]:
        data, *words = super()._row(number)
        if not isinstance(data, Path):
            raise Unusable("no file of its own, but bytes in a table or a tar")
        return data, *words

    def _times(self, number: int, begin: int) -> list[Fraction]:
        """Returns the times of a clip's frames, in seconds since the file's first one."""
        sampling = self._sampling
        numbers = range(begin, begin + sampling.frames)
        if sampling.rate is not None:
            return [each / sampling.rate for each in numbers]
        ticks_F, time_base = self._ticks[number]
        return [int(ticks_F[each * sampling.stride]) * time_base for each in numbers]

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

    @property
    def shorter(self) -> str:
        """Advice on the setting that makes documents shorter."""
        return f"lower stream.sources.{self.name}.frames"

    def longest_documents(self) -> Iterator[Document]:
        """Yields a document as long as the longest one."""
        first = self[0]
        words = Text(f"video: {self._longest}") if self._longest else Text("video:")
        yield Document((words, *first.images))
