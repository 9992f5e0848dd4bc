import numpy as np
import pytest
import torch

from chiasm.tokenizers.statistics import RunningStatistics
from chiasm.vision.convolutional import LinearDecoder
from chiasm.vision.encoder import RaeEncoder
from chiasm.vision.learning.reconstruction import solve_linear_decoder
from chiasm.vision.learning.ridge import RidgeRegression, neighbourhoods
from chiasm.vision.settings import EncoderSettings
from chiasm.vision.tokenizer import patches, seeded


def test_without_a_penalty_it_is_least_squares() -> None:
    rng = np.random.default_rng(0)
    features, values = rng.normal(size=(200, 7)), rng.normal(size=(200, 3))
    ridge = RidgeRegression(7, 3)
    for part in np.array_split(np.arange(200), 9):
        ridge.update(torch.from_numpy(features[part]), torch.from_numpy(values[part]))
    expected = np.linalg.lstsq(features, values, rcond=None)[0]
    np.testing.assert_allclose(ridge.solve(0.0).numpy(), expected, atol=1e-6)


def test_the_penalty_means_the_same_at_any_count() -> None:
    rng = np.random.default_rng(0)
    features, values = torch.from_numpy(rng.normal(size=(50, 4))), torch.ones(50, 1)
    once, twice = RidgeRegression(4, 1), RidgeRegression(4, 1)
    once.update(features, values)
    twice.update(features.repeat(2, 1), values.repeat(2, 1))
    torch.testing.assert_close(once.solve(0.3), twice.solve(0.3))


@pytest.mark.slow
def test_the_linear_decoder_starts_at_the_solution(train_scenes) -> None:
    shape = EncoderSettings(image_pixels=32, channels=16, widths=(8, 16, 32))
    encoder, linear = seeded(0, RaeEncoder, shape), LinearDecoder(16)
    images = train_scenes.batch(np.arange(len(train_scenes)))
    with torch.no_grad():
        raw = encoder(images)
        running = RunningStatistics(16)
        running.update(raw)
        statistics = running.finish(encoder="e", preprocessing="p", data="d")
        solve_linear_decoder(
            linear, lambda x: statistics.standardize(encoder(x)), train_scenes, noise=1e-3
        )
        grid = statistics.standardize(raw).mT.unflatten(2, (2, 2))
        drawn = patches(linear(grid), 16).flatten(0, 1).numpy()
    features = neighbourhoods(grid).double().numpy()
    values = patches(images, 16).flatten(0, 1).double().numpy()
    best = features @ np.linalg.lstsq(features, values, rcond=None)[0]
    least = np.square(best - values).mean()
    assert np.square(drawn - values).mean() < least * 1.02
