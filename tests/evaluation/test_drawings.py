import numpy as np
import pytest

from chiasm.evaluation.drawings import Drawings, _others, _shuffled, _Truth
from chiasm.evaluation.run import Run


def truth(walls: list[str], maps: list[int]) -> _Truth:
    return _Truth(np.zeros((len(walls), 4, 4, 3)), [{"wall": wall} for wall in walls], maps)


def test_shuffled_captions_are_the_mean_over_pictures_of_other_maps():
    named = np.array(["brick", "wood", "wood", "stone"])
    found = np.array(["brick", "wood", "brick", "brick"])
    others = _others(truth(named.tolist(), [0, 0, 1, 2]))
    # The first caption meets the pictures of maps 1 and 2, both of which show brick. The second
    # meets map 2's alone: map 1's is of a caption that says the same.
    assert _shuffled(found, named, others) == pytest.approx([1.0, 0.0, 0.0, 0.0])


def test_within_one_map_there_are_no_other_captions():
    named = np.array(["brick", "wood"])
    others = _others(truth(named.tolist(), [0, 0]))
    assert not others.any()
    assert np.isnan(_shuffled(named, named, others)).all()


@pytest.mark.slow
def test_probes_read_real_frames_better_than_chance(pretrained, material, settings):
    more = settings.model_copy(update={"probe_frames": 60, "drawings": 16})
    rows = Drawings().measure(Run(pretrained, material, more)).rows
    real = {row.name: row.value for row in rows if "real held-out" in row.name}
    assert real["the probe's own accuracy, light, real held-out frames"] > 0.6
