"""Encoding a gallery ahead of training: shards of latents, written by any number of ranks.

Rank r of R encodes its own stretch of the gallery's numbers, each image once. The content of a
shard is a function of the gallery and the settings, so that a call that was killed resumes at the
first missing shard and writes the same bytes as one that never was.

Shape suffixes: M images of a shard, B images encoded together, P latent tokens of one image, C
latent channels.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from chiasm.data.keys import picture_key
from chiasm.documents import Image
from chiasm.errors import UserError
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.vision.cached.gallery import Gallery, decoded
from chiasm.vision.cached.shards import (
    Latents,
    Manifest,
    Origin,
    Shard,
    differences,
    is_whole,
    manifest_path,
    open_shard,
    shard_path,
)
from chiasm.vision.settings import SHARD_PICTURES, StoredType

ProgressCallback = Callable[[str, int, int], None]
"""Callback with (stage, done, of)."""


@dataclass(frozen=True)
class Rank:
    """One of the processes that share the work."""

    number: int = 0
    of: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.number < self.of:
            raise UserError(
                f"rank {self.number} of {self.of} ranks: ranks are numbered from 0 to "
                f"{self.of - 1}; set --rank and --ranks, or RANK and WORLD_SIZE"
            )

    def share(self, length: int) -> range:
        """Returns its stretch of ``length`` numbers."""
        return range(length * self.number // self.of, length * (self.number + 1) // self.of)


_ALONE = Rank()


class Encoding:
    """A rank's shards in a folder: those of an earlier call, and those still to be written.

    Construction reads what the folder holds and writes nothing.

    Raises:
        UserError: the folder holds something else, such as latents of other settings.
    """

    def __init__(
        self,
        gallery: Gallery,
        tokenizer: Tokenizer,
        folder: Path,
        *,
        stored_type: StoredType = "float16",
        shard_pictures: int = SHARD_PICTURES,
        rank: Rank = _ALONE,
    ) -> None:
        self._gallery = gallery
        self._tokenizer = tokenizer
        self._share = rank.share(len(gallery))
        self._ahead = self._share
        self._known: set[bytes] = set()
        """Keys of the images met so far."""
        self._path = manifest_path(folder, rank.number, rank.of)
        lengths = {name: part.length for name, part in gallery.parts.items()}
        self._manifest = _begun(
            self._path,
            Manifest(
                Origin.of(tokenizer), tokenizer.statistics, stored_type, lengths, shard_pictures
            ),
        )

    def run(
        self, device: torch.device, progress: ProgressCallback = lambda stage, done, of: None
    ) -> Manifest:
        """Writes the shards that are missing, or damaged by their sha256; returns the manifest.

        Raises:
            UserError: a file cannot be written, or latents are not finite in the stored type.
        """
        manifest, path = self._manifest, self._path
        self._tokenizer.to(device)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            manifest.write(path)
        for number, shard in enumerate(manifest.shards):
            progress("checking shards", number, len(manifest.shards))
            if not is_whole(path.parent, shard):
                shard = self._encode_shard(number, device, progress) or shard
                manifest.shards[number] = shard
                manifest.write(path)
            self._pass_over(shard)
        progress("checking shards", len(manifest.shards), len(manifest.shards))
        while not manifest.finished:
            new = self._encode_shard(len(manifest.shards), device, progress)
            if new is None:
                manifest.finished = True
            else:
                manifest.shards.append(new)
                self._pass_over(new)
            manifest.write(path)
        progress("encoding", len(self._share), len(self._share))
        return manifest

    def _pass_over(self, shard: Shard) -> None:
        """Advances to the shard's end. Its last number is read again: more images may be in it."""
        keys = open_shard(self._path.parent, shard).keys
        self._known.update(keys, map(bytes.fromhex, shard.unreadable))
        self._ahead = range(shard.last, self._share.stop)

    def _pictures(self) -> Iterator[tuple[tuple[int, bytes], Image]]:
        """Yields the images still to come, each once, with its number and its key."""
        met: set[bytes] = set()
        for number in self._ahead:
            for image in self._gallery.images(number):
                try:
                    key = picture_key(image)
                except UserError:
                    continue  # without its file a picture has no key in training either
                if key not in self._known and key not in met:
                    met.add(key)
                    yield (number, key), image

    def _encode_shard(
        self, number: int, device: torch.device, progress: ProgressCallback
    ) -> Shard | None:
        """Writes a shard of the images to come; returns None where there are none."""
        tokenizer, stored_type = self._tokenizer, self._manifest.stored_type
        shape = tokenizer.image_shape
        images = islice(self._pictures(), self._manifest.shard_pictures)
        keys: list[bytes] = []
        unreadable: dict[str, str] = {}
        parts = [_stored(torch.zeros(0, shape.num_tokens, tokenizer.channels), stored_type)]
        last = -1
        for together in decoded(images, shape):
            whole = []
            for (_, key), picture in together:
                if isinstance(picture, UserError):
                    unreadable[key.hex()] = str(picture)
                else:
                    keys.append(key)
                    whole.append(picture)
            if whole:
                latents_BPC = tokenizer.encode(torch.stack(whole).to(device))
                parts.append(_stored(latents_BPC, stored_type))
            last = together[-1][0][0]
            progress("encoding", last - self._share.start, len(self._share))
        if last < 0:
            return None
        latents = Latents.of(keys, torch.cat(parts))
        return latents.save(shard_path(self._path, number), last, unreadable)


def _stored(latents_BPC: Tensor, stored_type: StoredType) -> Tensor:
    stored_BPC = latents_BPC.to("cpu", getattr(torch, stored_type))
    if not bool(stored_BPC.isfinite().all()):
        largest = float(latents_BPC.nan_to_num(0, 0, 0).abs().max())
        raise UserError(
            f"some latents are not finite in {stored_type} (the largest number is {largest:.3g}); "
            "give --dtype float32, or look at the encoder where that number is ordinary"
        )
    return stored_BPC


def stream_folders(out: Path, streams: Collection[str]) -> dict[str, Path]:
    """Returns the folder of each stream's latents: ``out``, or for several one each inside it.

    Raises:
        UserError: ``out`` holds latents of several streams where there is one, or of one where
            there are several.
    """
    several = len(streams) > 1
    if strange := sorted(out.glob("rank-*.json" if several else "*/rank-*.json")):
        raise UserError(
            f"{out} holds latents of {'one stream' if several else 'several streams'} "
            f"({strange[0].relative_to(out)}), but the recipe has {', '.join(streams)}; give "
            "another folder with --out"
        )
    return {name: out / name if several else out for name in streams}


def _begun(path: Path, wanted: Manifest) -> Manifest:
    """Returns the rank's manifest as an earlier call left it, or a new one."""
    folder = path.parent
    if file := next((above for above in (folder, *folder.parents) if above.is_file()), None):
        raise UserError(f"{file} is a file; give a folder with --out")
    ranks = path.stem.partition("-of-")[2]
    names = sorted(file.name for file in folder.iterdir()) if folder.exists() else []
    own = {name for name in names if name.startswith("rank-") and f"-of-{ranks}." in name}
    if foreign := [name for name in names if name not in own]:
        raise UserError(
            f"{folder} holds something else than the latents of {int(ranks)} ranks: {foreign[0]}; "
            "give another folder with --out, or as many ranks as before"
        )
    if not path.exists():
        return wanted
    found = Manifest.read(path)
    progressed = replace(wanted, shards=found.shards, finished=found.finished)
    if changed := differences(found, progressed):
        raise UserError(
            f"{folder} holds latents of other settings:{changed}\nGive another folder with --out"
        )
    return found
