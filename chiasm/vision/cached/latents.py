"""Latents that were encoded ahead of training, looked up by the content of their images.

Shape suffixes: K images of the cache, P latent tokens of one image, C latent channels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor

from chiasm.batch.items import CacheError
from chiasm.data.keys import KEY_BYTES, picture_key
from chiasm.documents import Continuous
from chiasm.errors import UserError
from chiasm.rgb import described
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.vision.cached.shards import (
    Manifest,
    Origin,
    check,
    damaged,
    differences,
    manifest_path,
    open_shard,
)

_KEY = np.dtype(f"S{KEY_BYTES}")


class CachedLatents:
    """A folder that ``chiasm vision encode`` has finished; :meth:`read` is an item reader.

    Args:
        folder: value of the setting ``latents``.
        tokenizer: must have the encoder, preprocessing and size of the latents; its statistics may
            differ from those at the time of encoding.

    Raises:
        UserError: no latents, those of other settings, or some that are missing or damaged.
    """

    def __init__(self, folder: Path, tokenizer: Tokenizer) -> None:
        self.folder = folder
        manifests = _manifests(folder)
        for manifest in manifests:
            if changed := differences(manifest.origin, Origin.of(tokenizer)):
                raise _unfit(
                    folder,
                    f"holds latents of another vision tokenizer:{changed}\n",
                    "encode with this recipe into another folder (chiasm vision encode), or set "
                    "the tokenizer's settings that it was made with",
                )
        if unfinished := [n for n, manifest in enumerate(manifests) if not manifest.finished]:
            raise _unfit(
                folder,
                f"is not finished: rank {', '.join(map(str, unfinished))} of {len(manifests)} was "
                "stopped",
                "call chiasm vision encode again, it goes on where it was",
            )
        self._scales = [manifest.scale for manifest in manifests for _ in manifest.shards]
        shards = [shard for manifest in manifests for shard in manifest.shards]
        self._names = [shard.file for shard in shards]
        self._shards = [open_shard(folder, shard) for shard in shards]
        self._broken = {
            bytes.fromhex(key): why for shard in shards for key, why in shard.unreadable.items()
        }
        keys_K = np.concatenate([np.zeros(0, _KEY), *(s.keys_M for s in self._shards)])
        counts = [len(each.keys_M) for each in self._shards]
        shard_K = np.repeat(np.arange(len(counts)), counts)
        row_K = np.concatenate([np.zeros(0, np.int64), *map(np.arange, counts)])
        # Sorted arrays, searched by bisection, take less memory than a dictionary.
        order_K = np.argsort(keys_K, kind="stable")
        self._keys_K = keys_K[order_K]
        self._place_K2 = np.stack((shard_K, row_K), axis=1)[order_K]

    def __len__(self) -> int:
        return len(self._keys_K)

    def read(self, image: Continuous) -> Tensor:
        """Returns the image's latents before standardization, float32 [P, C]; nothing is decoded.

        Raises:
            CacheError: the image is not in the cache, or its latents are damaged.
            UserError: the image could not be decoded when it was to be encoded.
        """
        key = picture_key(image)
        wanted = np.array(key, _KEY)
        place = int(np.searchsorted(self._keys_K, wanted))
        if place == len(self) or self._keys_K[place] != wanted:
            if key in self._broken:
                raise UserError(self._broken[key])
            raise CacheError(
                f"lacks the latents of a picture ({described(image.data)})",
                setting="latents",
                value=str(self.folder),
                remedy="the data has changed since it was encoded: call chiasm vision encode into "
                "a new folder",
            )
        shard, row = self._place_K2[place].tolist()
        stored_PC = self._shards[shard].latents_MPC[row]
        if check(stored_PC) != int(self._shards[shard].checks_M[row]):
            path = self.folder / self._names[shard]
            raise CacheError(damaged(path, f"the latents of its picture {row} differ"))
        return self._scales[shard].restore(stored_PC.float())


def _manifests(folder: Path) -> list[Manifest]:
    """Returns the manifests of all ranks, in order."""
    paths = sorted(folder.glob("rank-?????-of-?????.json"))
    if not paths:
        raise _unfit(
            folder,
            "holds no latents",
            f"make them with chiasm vision encode RECIPE --out {folder}",
        )
    num_ranks = int(paths[0].stem[-5:])
    wanted = [manifest_path(folder, rank, num_ranks) for rank in range(num_ranks)]
    missing = [path.name for path in wanted if path not in paths]
    if missing:
        raise _unfit(
            folder,
            f"lacks what {len(missing)} of {num_ranks} ranks encoded ({', '.join(missing[:3])})",
            "call chiasm vision encode for those ranks, or copy their files",
        )
    return [Manifest.read(path) for path in wanted]


def _unfit(folder: Path, why: str, remedy: str) -> UserError:
    return UserError(why, setting="latents", value=str(folder), remedy=remedy)
