"""Mean and deviation of each latent channel, with their provenance.

Shape suffixes: C latent channels; ``...`` any leading dimensions.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from chiasm.errors import UserError
from chiasm.ranks import Ranks
from chiasm.whole import write_json

LARGEST_MEAN = 0.5
"""Root mean square of the channel means above which latents count as not standardized."""

DEVIATION_RANGE = (0.5, 2.0)
"""Root mean square of the channel deviations that counts as standardized."""


@dataclass(frozen=True)
class LatentStatistics:
    """Per-channel mean and standard deviation of raw latents, with their provenance."""

    mean_C: tuple[float, ...]
    std_C: tuple[float, ...]
    encoder: str
    """Origin of the raw latents: a name and, where there are weights, their hash."""
    preprocessing: str
    """Preprocessing of the pixels before the encoder."""
    data: str
    """Data that the statistics were measured on."""
    count: int
    """Number of latent tokens that were measured."""

    def __post_init__(self) -> None:
        if len(self.mean_C) != len(self.std_C):
            raise ValueError(f"{len(self.mean_C)} means but {len(self.std_C)} deviations")
        if not all(deviation > 0 for deviation in self.std_C):
            raise ValueError("a latent channel is constant: its deviation is not above 0")

    @classmethod
    def neutral(
        cls, channels: int, mean: float, deviation: float, encoder: str, preprocessing: str
    ) -> LatentStatistics:
        """Returns a guess that stands until items are measured; its count is 0."""
        mean_C, std_C = (mean,) * channels, (deviation,) * channels
        return cls(mean_C, std_C, encoder, preprocessing, "no pictures: a neutral guess", count=0)

    @property
    def channels(self) -> int:
        """C, the number of channels."""
        return len(self.mean_C)

    def standardize(self, raw: Tensor) -> Tensor:
        """Returns raw latents [..., C] scaled to mean 0 and deviation 1 in each channel."""
        return (raw - _like(raw, self.mean_C)) / _like(raw, self.std_C)

    def restore(self, latents: Tensor) -> Tensor:
        """Returns raw latents: the inverse of :meth:`standardize`."""
        return latents * _like(latents, self.std_C) + _like(latents, self.mean_C)

    def refuse(self, latents: Tensor) -> None:
        """Raises an error unless latents [..., C] look standardized (:func:`is_standardized`).

        Raises:
            UserError: with the measured mean and deviation and the origin of the statistics.
        """
        if is_standardized(latents):
            return
        _refuse_not_finite(latents)
        mean, deviation = _mean_and_deviation(latents)
        raise UserError(
            f"latents are not standardized: channel means {mean:.2f} from 0 (at most "
            f"{LARGEST_MEAN}), deviation {deviation:.2f} (between {DEVIATION_RANGE[0]} and "
            f"{DEVIATION_RANGE[1]}). The tokenizer's statistics stem from {self.encoder} on "
            f"{self.data} ({self.count:,} tokens); measure them again on the items of this run "
            "(chiasm vision stats RECIPE --out FILE, then statistics = FILE under the stream), "
            "or train a tokenizer on them (chiasm vision train); a trained model that goes on "
            "learning reads only items like those that it learned from"
        )


def is_standardized(latents: Tensor) -> bool:
    """Returns whether latents [..., C] have about mean 0 and deviation 1.

    Channels are judged together (root mean square over channels), so that a batch in which one
    colour happens to be rare passes and latents that were never standardized do not.
    """
    mean, deviation = _mean_and_deviation(latents)
    return mean <= LARGEST_MEAN and DEVIATION_RANGE[0] <= deviation <= DEVIATION_RANGE[1]


def _mean_and_deviation(latents: Tensor) -> tuple[float, float]:
    flat = latents.reshape(-1, latents.shape[-1]).float()
    mean = flat.mean(dim=0).square().mean().sqrt()
    return float(mean), float(flat.var(dim=0, unbiased=False).mean().sqrt())


def save_statistics(statistics: LatentStatistics, path: Path) -> None:
    """Writes statistics with their provenance as JSON, for a setting ``statistics``."""
    write_json(path, asdict(statistics))


def read_statistics(path: Path) -> LatentStatistics:
    """Returns the statistics that :func:`save_statistics` wrote.

    Raises:
        UserError: the file is missing, or does not describe statistics.
    """
    try:
        return statistics_of(json.loads(path.read_text()))
    except (OSError, TypeError, ValueError) as error:
        raise UserError(
            f"does not hold latent statistics: {error}",
            setting="statistics",
            value=str(path),
            remedy="chiasm vision stats writes them",
        ) from error


def statistics_of(described: Any) -> LatentStatistics:
    """Returns statistics from their fields, as JSON has them.

    Raises:
        TypeError, ValueError: the fields are not those of statistics.
    """
    statistics = LatentStatistics(**described)
    mean_C, std_C = (tuple(map(float, c)) for c in (statistics.mean_C, statistics.std_C))
    return replace(statistics, mean_C=mean_C, std_C=std_C)


class RunningStatistics:
    """Mean and variance of each channel over a stream of batches.

    Chan, Golub and LeVeque's pairwise form of Welford's update, in float64: the result does not
    depend on how the stream was cut, up to rounding.
    """

    def __init__(self, channels: int) -> None:
        self.count = 0
        self.mean_C = np.zeros(channels)
        self._squares_C = np.zeros(channels)

    def update(self, latents: Tensor) -> None:
        """Adds latents [..., C].

        Raises:
            UserError: they are not finite.
        """
        flat = latents.reshape(-1, latents.shape[-1]).to("cpu", torch.float64).numpy()
        if len(flat) == 0:
            return
        _refuse_not_finite(latents)
        mean_C = flat.mean(axis=0)
        self._add(len(flat), mean_C, ((flat - mean_C) ** 2).sum(axis=0))

    def over(self, ranks: Ranks) -> RunningStatistics:
        """Returns those of the streams of all ranks."""
        found = RunningStatistics(len(self.mean_C))
        for of_one in ranks.gather(self):
            if of_one.count:
                found._add(of_one.count, of_one.mean_C, of_one._squares_C)
        return found

    def _add(self, count: int, mean_C: np.ndarray, squares_C: np.ndarray) -> None:
        total = self.count + count
        change_C = mean_C - self.mean_C
        self._squares_C += squares_C + change_C**2 * (self.count * count / total)
        self.mean_C = self.mean_C + change_C * (count / total)
        self.count = total

    @property
    def std_C(self) -> np.ndarray:
        """Population standard deviations, float64 [C]."""
        return np.sqrt(self._squares_C / max(self.count, 1))

    def finish(self, *, encoder: str, preprocessing: str, data: str) -> LatentStatistics:
        """Returns the statistics so far, with their provenance.

        Raises:
            UserError: nothing was measured, or a channel never changes.
        """
        if self.count == 0 or not (self.std_C > 1e-6).all():
            raise UserError(
                f"the latent statistics of {encoder} cannot be measured on {data}: "
                f"{self.count} latent tokens, {int((self.std_C <= 1e-6).sum())} constant "
                "channels; give more, and more varied, items"
            )
        mean_C, std_C = tuple(self.mean_C.tolist()), tuple(self.std_C.tolist())
        return LatentStatistics(mean_C, std_C, encoder, preprocessing, data, self.count)


def _refuse_not_finite(latents: Tensor) -> None:
    if not latents.isfinite().all():
        raise UserError(
            "latents are not finite",
            remedy="mend the encoder, or let its read() raise a ValueError for such an item",
        )


@lru_cache(maxsize=8)
def _tensor(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # whoever asks first, a later one may want gradients
        return torch.tensor(values, dtype=dtype, device=device)


def _like(x: Tensor, values: tuple[float, ...]) -> Tensor:
    return _tensor(values, x.dtype, x.device)
