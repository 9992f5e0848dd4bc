"""Encoding a gallery ahead of training: shards of latents, written by any number of ranks.

Rank r of R encodes its own stretch of the gallery's numbers, each picture that it meets once. What
stands in a shard is a function of the gallery and the settings, so that a call that was killed goes
on with the first shard that is missing and writes the same bytes as one that never was.

Shape suffixes: M pictures of a shard, P latent tokens of one picture, C latent channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
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
    StoredType,
    is_whole,
    manifest_path,
    open_shard,
    shard_path,
)

PICTURES_AT_ONCE = 64
"""Pictures that the encoder sees together."""

SHARD_PICTURES = 2048
"""Pictures of a shard: with 256 tokens of 768 channels in 16 bits, 805 MB."""

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, of)."""


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
        """Its stretch of so many numbers."""
        return range(length * self.number // self.of, length * (self.number + 1) // self.of)


_ALONE = Rank()
_TYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}


def encode_gallery(
    gallery: Gallery,
    tokenizer: Tokenizer,
    folder: Path,
    *,
    device: torch.device,
    stored_type: StoredType = "float16",
    shard_pictures: int = SHARD_PICTURES,
    rank: Rank = _ALONE,
    progress: Progress = lambda stage, done, of: None,
) -> Manifest:
    """Write this rank's shards, going on where an earlier call was stopped or killed.

    Shards that are there are read and compared with their sha256; damaged ones are written anew.

    Raises:
        UserError: the folder holds latents of something else, or cannot be written.
    """
    path = manifest_path(folder, rank.number, rank.of)
    manifest = _begun(
        Manifest(
            Origin.of(tokenizer),
            tokenizer.statistics,
            stored_type,
            {name: part.length for name, part in gallery.parts.items()},
            shard_pictures,
        ),
        path,
    )
    share = rank.share(len(gallery))
    walk = _Walk(gallery, share)
    tokenizer = tokenizer.to(device)

    def encode(number: int) -> Shard | None:
        return _encode_shard(
            islice(walk.ahead(), shard_pictures),
            tokenizer,
            device,
            stored_type,
            shard_path(path, number),
            lambda at: progress("encoding", at - share.start, len(share)),
        )

    for number, shard in enumerate(manifest.shards):
        progress("checking shards", number, len(manifest.shards))
        if not is_whole(folder, shard):
            manifest.shards[number] = shard = encode(number) or shard
            manifest.write(path)
        walk.pass_over(shard, open_shard(folder, shard))
    progress("checking shards", len(manifest.shards), len(manifest.shards))
    while not manifest.finished:
        new = encode(len(manifest.shards))
        if new is None:
            manifest.finished = True
        else:
            manifest.shards.append(new)
            walk.pass_over(new, open_shard(folder, new))
        manifest.write(path)
    progress("encoding", len(share), len(share))
    return manifest


class _Walk:
    """Where a rank stands in the gallery, and the keys of the pictures that it has met."""

    def __init__(self, gallery: Gallery, numbers: range) -> None:
        self._gallery = gallery
        self._numbers = numbers
        self._known: set[bytes] = set()

    def ahead(self) -> Iterator[tuple[tuple[int, bytes], Image]]:
        """The pictures still to come, each once, with its number and its key."""
        met: set[bytes] = set()
        for number in self._numbers:
            for image in self._gallery.images(number):
                try:
                    key = picture_key(image)
                except UserError:
                    continue  # without its file a picture has no key in training either
                if key not in self._known and key not in met:
                    met.add(key)
                    yield (number, key), image

    def pass_over(self, shard: Shard, latents: Latents) -> None:
        """Go to the shard's end. Its last number is read again: more pictures may be in it."""
        self._known.update(latents.keys, map(bytes.fromhex, shard.unreadable))
        self._numbers = range(shard.last, self._numbers.stop)


def _encode_shard(
    images: Iterable[tuple[tuple[int, bytes], Image]],
    tokenizer: Tokenizer,
    device: torch.device,
    stored_type: StoredType,
    path: Path,
    on_number: Callable[[int], None],
) -> Shard | None:
    """Write a shard of these pictures; None where there are none."""
    keys: list[bytes] = []
    unreadable: dict[str, str] = {}
    shape = tokenizer.image_shape
    parts = [torch.zeros(0, shape.num_tokens, tokenizer.channels, dtype=_TYPES[stored_type])]
    last = -1
    pictures = decoded(images, shape)
    while together := list(islice(pictures, PICTURES_AT_ONCE)):
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
        on_number(last)
    if last < 0:
        return None
    latents = Latents.of(keys, torch.cat(parts))
    size, sha256 = latents.save(path)
    return Shard(path.name, len(keys), size, sha256, latents.index, last, unreadable)


def _stored(latents_BPC: Tensor, stored_type: StoredType) -> Tensor:
    stored_BPC = latents_BPC.to("cpu", _TYPES[stored_type])
    if not bool(stored_BPC.isfinite().all()):
        largest = float(latents_BPC.nan_to_num(0, 0, 0).abs().max())
        raise UserError(
            f"some latents are not finite in {stored_type} (the largest number is {largest:.3g}); "
            "give --dtype float32, or look at the encoder where that number is ordinary"
        )
    return stored_BPC


def _begun(wanted: Manifest, path: Path) -> Manifest:
    """The rank's manifest as an earlier call left it, or a new one.

    Raises:
        UserError: the folder holds something else.
    """
    folder = path.parent
    if file := next((above for above in (folder, *folder.parents) if above.is_file()), None):
        raise UserError(f"{file} is a file; give a folder with --out")
    ranks = path.stem.partition("-of-")[2]
    foreign = sorted(
        file.name
        for file in (folder.iterdir() if folder.exists() else ())
        if not (file.name.startswith("rank-") and f"-of-{ranks}." in file.name)
    )
    if foreign:
        raise UserError(
            f"{folder} holds something else than the latents of {int(ranks)} ranks: {foreign[0]}; "
            "give another folder with --out, or as many ranks as before"
        )
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        wanted.write(path)
        return wanted
    found = Manifest.read(path)
    there, here = (asdict(replace(each, shards=[], finished=False)) for each in (found, wanted))
    changed = [name for name in here if there[name] != here[name]]
    if changed:
        raise UserError(
            f"{folder} holds latents of other settings:\n  "
            + "\n  ".join(f"{name} = {there[name]} there, {here[name]} here" for name in changed)
            + "\nGive another folder with --out"
        )
    return found
