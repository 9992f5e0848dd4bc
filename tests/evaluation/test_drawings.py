import numpy as np
import pytest

from chiasm.evaluation.drawings import _shuffled, measure_drawings


def test_shuffled_captions_are_the_mean_over_pictures_of_other_maps():
    named = np.array(["brick", "wood", "wood", "brick"])
    found = np.array(["brick", "wood", "brick", "brick"])
    maps = np.array([0, 0, 1, 2])
    # The first caption meets the pictures of maps 1 and 2, both of which show brick.
    assert _shuffled(found, named, maps) == pytest.approx([1.0, 0.0, 1 / 3, 2 / 3])


def test_within_one_map_other_pictures_serve():
    named, found = np.array(["brick", "wood"]), np.array(["brick", "wood"])
    assert _shuffled(found, named, np.zeros(2)) == pytest.approx([0.0, 0.0])


def test_probes_read_real_frames_better_than_chance(pretrained, material, settings):
    sources = material.of_task("image_text")
    more = settings.model_copy(update={"probe_frames": 60, "drawings": 16})
    rows, _ = measure_drawings(pretrained, sources, more)
    real = {row.name: row.value for row in rows if "real held-out" in row.name}
    assert real["the probe's own accuracy, light, real held-out frames"] > 0.6
