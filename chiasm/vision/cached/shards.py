"""Latents on disk: safetensors shards, and for each rank that wrote them a manifest.

    rank-00000-of-00002.json                        what was encoded, and the rank's shards
    rank-00000-of-00002.shard-00000.safetensors     latents, keys and checks

A manifest is replaced whole after each shard and names its size and sha256. Every image's latents
have a checksum of their own, so that a read costs one image and still detects damage.

Shape suffixes: M images of a shard, P latent tokens of one image, C latent channels, K bytes of a
key.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
import xxhash
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from chiasm.data.keys import KEY_BYTES
from chiasm.errors import UserError
from chiasm.rgb import RULE
from chiasm.tokenizers.statistics import LatentStatistics, statistics_of
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.vision.settings import StoredType
from chiasm.whole import sha256_of, write_whole


@dataclass(frozen=True)
class Origin:
    """Everything that latents depend on beside the image files; statistics are not part of it."""

    encoder: str
    preprocessing: str
    height_pixels: int
    width_pixels: int
    rows: int
    columns: int
    channels: int
    decoding: int
    """Version of the rule that makes pixels of files (:data:`chiasm.rgb.RULE`)."""

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Origin:
        """Returns the origin of a tokenizer's latents."""
        statistics = tokenizer.statistics
        return cls(
            statistics.encoder,
            tokenizer.encoder.preprocessing,
            **asdict(tokenizer.image_shape),
            channels=tokenizer.channels,
            decoding=RULE,
        )


@dataclass(frozen=True)
class Shard:
    """One finished shard, as recorded in its manifest."""

    file: str
    pictures: int
    bytes: int
    sha256: str
    index: str
    """xxh3 hash of its keys and checksums."""
    last: int
    """Gallery number that the shard's last image belongs to."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Key of each image that could not be decoded, in hexadecimal, → the reason."""


@dataclass
class Manifest:
    """The record of one rank's encoding, and how far it is."""

    origin: Origin
    scale: LatentStatistics
    """Statistics that standardize stored latents, so that few bits represent them well."""
    stored_type: StoredType
    data: dict[str, int]
    """The parts of the gallery and their lengths."""
    shard_pictures: int
    """Images of a shard, unreadable ones included."""
    shards: list[Shard] = field(default_factory=list)
    finished: bool = False

    def write(self, path: Path) -> None:
        """Replaces the file at ``path``."""
        replace_file(path, (json.dumps(asdict(self), indent=1) + "\n").encode())

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Returns the manifest at ``path``.

        Raises:
            UserError: it cannot be read, or is none.
        """
        try:
            found = json.loads(path.read_text())
            found["origin"] = Origin(**found["origin"])
            found["scale"] = statistics_of(found["scale"])
            found["shards"] = [Shard(**shard) for shard in found["shards"]]
            return cls(**found)
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{path} is no manifest of cached latents ({error}); delete it and call "
                "chiasm vision encode again"
            ) from error


def manifest_path(folder: Path, rank: int, num_ranks: int) -> Path:
    """Returns the path of a rank's manifest."""
    return folder / f"rank-{rank:05d}-of-{num_ranks:05d}.json"


def shard_path(manifest: Path, number: int) -> Path:
    """Returns the path of a rank's shard."""
    return manifest.with_name(f"{manifest.stem}.shard-{number:05d}.safetensors")


@dataclass(frozen=True)
class Latents:
    """The content of a shard; read from a file, it stays there until an image is asked for."""

    latents_MPC: Tensor
    keys_M: np.ndarray
    """S16 [M]; see :func:`chiasm.data.keys.picture_key`."""
    checks_M: Tensor
    """xxh3 hash of each image's latents, int64 [M]."""

    @classmethod
    def of(cls, keys: list[bytes], latents_MPC: Tensor) -> Latents:
        """Returns latents that were just made, with their checksums."""
        checks = [check(latents_PC) for latents_PC in latents_MPC]
        keys_M = np.array(keys, dtype=f"S{KEY_BYTES}")
        return cls(latents_MPC, keys_M, torch.tensor(checks, dtype=torch.int64))

    @property
    def keys(self) -> list[bytes]:
        """The keys one by one; numpy would drop zero bytes at their ends."""
        raw = self.keys_M.tobytes()
        return [raw[at : at + KEY_BYTES] for at in range(0, len(raw), KEY_BYTES)]

    @property
    def index(self) -> str:
        """xxh3 hash of keys and checksums."""
        digest = xxhash.xxh3_128(self.keys_M.tobytes())
        digest.update(self.checks_M.numpy().tobytes())
        return digest.hexdigest()

    def save(self, path: Path, last: int, unreadable: dict[str, str]) -> Shard:
        """Writes the file aside and renames it; returns its entry for the manifest."""
        keys = np.frombuffer(self.keys_M.tobytes(), np.uint8).reshape(-1, KEY_BYTES)
        keys_MK = torch.from_numpy(keys.copy())
        content = save({"latents": self.latents_MPC, "keys": keys_MK, "checks": self.checks_M})
        replace_file(path, content)
        size, sha256 = len(content), hashlib.sha256(content).hexdigest()
        return Shard(path.name, len(keys), size, sha256, self.index, last, unreadable)

    @classmethod
    def open(cls, path: Path) -> Latents:
        """Maps a shard's file into memory.

        Raises:
            SafetensorError, OSError: it is not whole.
        """
        with safe_open(path, "pt") as file:
            latents_MPC, keys, checks_M = map(file.get_tensor, ("latents", "keys", "checks"))
        keys_M = np.frombuffer(keys.numpy().tobytes(), dtype=f"S{KEY_BYTES}")
        return cls(latents_MPC, keys_M, checks_M)


def open_shard(folder: Path, shard: Shard) -> Latents:
    """Returns a shard whose file has the size, and the index, that its manifest names.

    Raises:
        UserError: it is missing or damaged.
    """
    path = folder / shard.file
    try:
        size = path.stat().st_size
        if size != shard.bytes:
            raise UserError(damaged(path, f"it has {size} bytes, its manifest says {shard.bytes}"))
        found = Latents.open(path)
    except (OSError, SafetensorError) as error:
        raise UserError(damaged(path, str(error))) from error
    if found.index != shard.index:
        raise UserError(damaged(path, "its keys are not those that its manifest names"))
    return found


def is_whole(folder: Path, shard: Shard) -> bool:
    """Returns whether the shard's file is there, byte for byte."""
    try:
        return sha256_of(folder / shard.file) == shard.sha256
    except OSError:
        return False


def damaged(path: Path, why: str) -> str:
    """Returns the message about a shard that cannot be used."""
    return (
        f"the shard {path} of cached latents is missing or damaged ({why}); call chiasm vision "
        "encode again as it was called before, which writes that shard anew"
    )


def differences(there: Origin | Manifest, here: Origin | Manifest) -> str:
    """Returns the fields in which the two differ, a line each; empty if there are none."""
    found, wanted = asdict(there), asdict(here)
    return "".join(
        f"\n  {name} = {found[name]} there, {wanted[name]} here"
        for name in wanted
        if found[name] != wanted[name]
    )


def check(latents_PC: Tensor) -> int:
    """Returns the xxh3 hash of one image's latents, as a signed number of 64 bits."""
    raw = latents_PC.contiguous().view(torch.uint8).numpy().tobytes()
    return int.from_bytes(xxhash.xxh3_64_digest(raw), "little", signed=True)


def replace_file(path: Path, content: bytes) -> None:
    """Writes a file whole.

    Raises:
        UserError: the disk is full or refuses.
    """
    try:
        write_whole(path, content)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written: {error}; make room, or give another --out"
        ) from error
