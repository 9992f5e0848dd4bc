from pathlib import Path

import numpy as np
import pytest
import torch

from chiasm.errors import UserError
from chiasm.tokenizers.statistics import (
    LatentStatistics,
    RunningStatistics,
    read_statistics,
    save_statistics,
)

PROVENANCE = {"encoder": "an encoder", "preprocessing": "none", "data": "normal numbers"}


def raw_latents(count: int = 1000) -> torch.Tensor:
    rng = np.random.default_rng(3)
    values = rng.normal(size=(count, 6)) * [1, 2, 3, 0.1, 5, 10] + [0, 100, -3, 0.5, 1e4, 7]
    return torch.from_numpy(values)


def measured(batches: list[torch.Tensor]) -> LatentStatistics:
    running = RunningStatistics(6)
    for batch in batches:
        running.update(batch)
    return running.finish(**PROVENANCE)


def test_streaming_equals_numpy() -> None:
    raw = raw_latents()
    statistics = measured(list(raw.split([1, 2, 400, 0, 597])))
    np.testing.assert_allclose(statistics.mean_C, raw.numpy().mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(statistics.std_C, raw.numpy().std(axis=0), rtol=1e-9)
    assert statistics.count == 1000


def test_streaming_equals_one_shot() -> None:
    raw = raw_latents()
    streamed, whole = measured(list(raw.split(17))), measured([raw])
    np.testing.assert_allclose(streamed.std_C, whole.std_C, rtol=1e-9)


def test_provenance_is_kept() -> None:
    statistics = measured([raw_latents()])
    assert (statistics.encoder, statistics.data) == ("an encoder", "normal numbers")


def test_restore_inverts_standardize() -> None:
    raw = raw_latents().reshape(10, 100, 6)
    statistics = measured([raw])
    latents = statistics.standardize(raw)
    assert latents.mean(dim=(0, 1)).abs().max() < 1e-9
    torch.testing.assert_close(latents.std(dim=(0, 1), unbiased=False), torch.ones(6).double())
    torch.testing.assert_close(statistics.restore(latents), raw)


def test_standardized_latents_pass() -> None:
    statistics = measured([raw_latents()])
    statistics.refuse(statistics.standardize(raw_latents(200)))


@pytest.mark.parametrize(
    "latents",
    [
        torch.randn(100, 6) + 3,
        torch.randn(100, 6) * 5,
        torch.randn(100, 6) * 0.1,
    ],
    ids=["shifted", "wide", "narrow"],
)
def test_other_latents_are_refused(latents: torch.Tensor) -> None:
    statistics = measured([raw_latents()])
    with pytest.raises(UserError, match=r"not standardized.*an encoder on normal numbers"):
        statistics.refuse(latents)


def test_latents_that_are_not_finite_are_refused() -> None:
    statistics = measured([raw := raw_latents()])
    raw[7, 2] = float("nan")
    with pytest.raises(UserError, match="not finite"):
        statistics.refuse(raw)
    with pytest.raises(UserError, match="not finite"):
        measured([raw])


def test_a_constant_channel_is_refused() -> None:
    raw = raw_latents()
    raw[:, 2] = 4.0
    with pytest.raises(UserError, match="1 constant channels"):
        measured([raw])


def test_nothing_measured_is_refused() -> None:
    with pytest.raises(UserError, match="0 latent tokens"):
        measured([])


def test_a_file_keeps_them(tmp_path: Path) -> None:
    statistics = measured([raw_latents()])
    save_statistics(statistics, tmp_path / "statistics.json")
    assert read_statistics(tmp_path / "statistics.json") == statistics


@pytest.mark.parametrize(
    "content", [None, "not JSON", "[1, 2]", '{"mean_C": [0], "std_C": [1]}', "{}"]
)
def test_files_without_statistics_are_refused(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "statistics.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=r"statistics\.json' does not hold latent statistics"):
        read_statistics(path)


def test_a_file_with_a_constant_channel_is_refused(tmp_path: Path) -> None:
    save_statistics(measured([raw_latents()]), path := tmp_path / "statistics.json")
    path.write_text(
        path.read_text()
        .replace('"std_C": [', '"std_C": [0.0,')
        .replace('"mean_C": [', '"mean_C": [0.0,')
    )
    with pytest.raises(UserError, match="constant"):
        read_statistics(path)
