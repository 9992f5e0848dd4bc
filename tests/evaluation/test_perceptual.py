"""The perceptual distance ranks distortions as eyes do, and PSNR does not."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage
from PIL import ImageFilter

from chiasm.evaluation.perceptual import Appearance, _filters
from chiasm.evaluation.pictures import psnr


@pytest.fixture(scope="module")
def views(material) -> np.ndarray:
    source = material.held_out["action_video"]
    return np.stack([source.picture(walk[0]).pixels() for walk in source.walks])


def distance(pictures: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return Appearance(pictures).distance(Appearance(truth))


def moved(views: np.ndarray, pixels: int) -> np.ndarray:
    wide = np.pad(views, ((0, 0), (0, 0), (abs(pixels), abs(pixels)), (0, 0)), "edge")
    begin = abs(pixels) + pixels
    return wide[:, :, begin : begin + views.shape[2]]


def noisy(picture: np.ndarray, strength: float) -> np.ndarray:
    return picture + 128 * strength * np.random.default_rng(0).standard_normal(picture.shape)


def blurred(picture: np.ndarray, strength: float) -> np.ndarray:
    blur = ImageFilter.GaussianBlur(8 * strength)
    return np.asarray(PillowImage.fromarray(picture).filter(blur))


def at_psnr(distort: Callable[[np.ndarray, float], np.ndarray], picture, wanted: float):
    low, high, found = 0.0, 1.0, picture
    for _ in range(12):
        middle = (low + high) / 2
        found = distort(picture, middle).round().clip(0, 255).astype(np.uint8)
        is_weak = psnr(found[None], picture[None])[0] > wanted
        low, high = (middle, high) if is_weak else (low, middle)
    return found


def test_it_is_zero_for_equal_pictures_and_the_same_both_ways(views):
    assert distance(views, views) == pytest.approx(0, abs=1e-5)
    assert distance(views, views[::-1]) == pytest.approx(distance(views[::-1], views))
    assert (distance(views, views[::-1]) > 0.1).sum() >= len(views) - 1


def test_of_flat_pictures_colours_alone_differ():
    x, y = 0.2, 0.6
    flat = [np.full((1, 32, 32, 3), round(255 * value), np.uint8) for value in (x, y)]
    texture = (2 * x * y + 1e-5) / (x**2 + y**2 + 1e-5)
    # One of two scales and what is coarser; the structure of nothing is alike.
    assert distance(*flat) == pytest.approx(0.75 * (1 - texture) / 3, rel=0.01)


def test_at_equal_psnr_blur_is_worse_than_noise_and_noise_than_a_move_by_a_pixel(views):
    move = moved(views, 1)
    wanted = psnr(move, views)
    noise, blur = (
        np.stack([at_psnr(distort, *pair) for pair in zip(views, wanted, strict=True)])
        for distort in (noisy, blurred)
    )
    assert psnr(noise, views) == pytest.approx(wanted, abs=0.1)
    assert psnr(blur, views) == pytest.approx(wanted, abs=0.1)
    by_move, by_noise, by_blur = (distance(each, views).mean() for each in (move, noise, blur))
    assert by_move < by_noise < by_blur


def test_a_blurred_mean_of_what_may_be_seen_loses_to_each_such_view(views):
    """PSNR prefers the mean to every one of them."""
    sharp = [moved(views, pixels) for pixels in (-3, -2, 2, 3)]
    mean = np.mean(sharp, axis=0).round().astype(np.uint8)
    for each in sharp:
        assert psnr(mean, views).mean() > psnr(each, views).mean()
        assert distance(mean, views).mean() > distance(each, views).mean()


def test_other_pictures_are_farther_than_any_distortion_of_the_same(views):
    assert distance(views[::-1], views).mean() > distance(moved(views, 3), views).mean()


def test_the_pyramid_passes_every_frequency_once():
    *oriented, coarsest = _filters(24, 20, 2)
    passed = coarsest**2
    for filters in oriented:
        energy = ((filters / 2) ** 2).sum(0)
        passed = passed + energy + torch.roll(energy.flip(0, 1), (1, 1), (0, 1))
    inside = np.s_[1:11, 1:9]  # the highest frequency has no sign
    assert passed[inside].numpy() == pytest.approx(1, abs=1e-5)


def test_pictures_of_any_size_and_number_are_compared(views):
    wide = np.random.default_rng(0).integers(0, 256, (70, 24, 40, 3), dtype=np.uint8)
    together = distance(wide, wide[::-1])
    assert together.shape == (70,)
    assert together[65:67] == pytest.approx(distance(wide[65:67], wide[::-1][65:67]), abs=1e-5)
    tiny = wide[:1, :8, :8]
    assert distance(tiny, tiny) == pytest.approx(0, abs=1e-5)
