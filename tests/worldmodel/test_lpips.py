"""LPIPS with random weights in the published files' form, against plain loops."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from chiasm.errors import UserError
from chiasm.worldmodel.lpips import ALEXNET, CHANNEL_WEIGHTS, Lpips

CHANNELS = {0: (3, 64, 11), 3: (64, 192, 5), 6: (192, 384, 3), 8: (384, 256, 3), 10: (256, 256, 3)}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator) / np.sqrt(np.prod(shape[1:]) or 1)

    network = {}
    for number, (before, after, size) in CHANNELS.items():
        network[f"features.{number}.weight"] = draw(after, before, size, size)
        network[f"features.{number}.bias"] = draw(after)
    torch.save(network, folder / ALEXNET)
    channels = {
        f"lin{n}.model.1.weight": draw(1, after, 1, 1).abs()
        for n, (_, after, _) in enumerate(CHANNELS.values())
    }
    torch.save(channels, folder / CHANNEL_WEIGHTS)
    return folder


def pictures(count: int, side: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def reference(folder: Path, one: np.ndarray, other: np.ndarray) -> float:
    network, channels = (torch.load(folder / name) for name in (ALEXNET, CHANNEL_WEIGHTS))

    def layers(pixels: np.ndarray) -> list[torch.Tensor]:
        x = torch.from_numpy(pixels).float().permute(2, 0, 1) / 255 * 2 - 1
        shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
        x = (x - shift[:, None, None]) / scale[:, None, None]
        found = []
        for n, (stride, padding) in zip(
            CHANNELS, [(4, 2), (1, 2), (1, 1), (1, 1), (1, 1)], strict=True
        ):
            if n in (3, 6):
                x = functional.max_pool2d(x, 3, 2)
            weight, bias = network[f"features.{n}.weight"], network[f"features.{n}.bias"]
            x = functional.conv2d(x[None], weight, bias, stride, padding)[0].relu()
            found.append(x)
        return found

    total = 0.0
    for n, (a, b) in enumerate(zip(layers(one), layers(other), strict=True)):
        weight = channels[f"lin{n}.model.1.weight"].flatten()
        places = []
        for y in range(a.shape[1]):
            for x in range(a.shape[2]):
                u, v = a[:, y, x], b[:, y, x]
                difference = u / (u.norm() + 1e-10) - v / (v.norm() + 1e-10)
                places.append(float((weight * difference**2).sum()))
        total += float(np.mean(places))
    return total


def test_it_is_the_published_formula(weights):
    lpips = Lpips(weights, torch.device("cpu"))
    three = pictures(3)
    goal = three[2]
    found = lpips(three, goal)
    assert found[2] == pytest.approx(0, abs=1e-7)
    for number in (0, 1):
        assert found[number] == pytest.approx(reference(weights, three[number], goal), rel=1e-4)


def test_files_that_are_missing_or_something_else_are_named(weights, tmp_path):
    with pytest.raises(UserError, match=r"alexnet-owt-7be5be79.pth is missing; copy it"):
        Lpips(tmp_path, torch.device("cpu"))
    (tmp_path / ALEXNET).write_bytes(b"not weights")
    with pytest.raises(UserError, match="cannot be read"):
        Lpips(tmp_path, torch.device("cpu"))
    (tmp_path / ALEXNET).write_bytes((weights / CHANNEL_WEIGHTS).read_bytes())
    (tmp_path / CHANNEL_WEIGHTS).write_bytes((weights / CHANNEL_WEIGHTS).read_bytes())
    with pytest.raises(UserError, match=r"'features.0.weight' is missing"):
        Lpips(tmp_path, torch.device("cpu"))


def test_pictures_too_small_for_the_network_are_refused(weights):
    lpips = Lpips(weights, torch.device("cpu"))
    with pytest.raises(UserError, match="31 pixels or more, and these have 16 x 16"):
        lpips(pictures(1, 16), pictures(1, 16)[0])
    assert np.isfinite(lpips(pictures(2, 31), pictures(1, 31)[0])).all()
