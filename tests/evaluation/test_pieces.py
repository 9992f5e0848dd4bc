"""Pieces of walks: what follows what, and what is left out."""

from itertools import pairwise

import numpy as np
import pytest

from chiasm.evaluation.material import Material, NothingToMeasure
from chiasm.evaluation.pieces import Pieces, cut_pieces
from chiasm.evaluation.run import Run


@pytest.fixture
def run(pretrained, settings) -> Run:
    return Run(pretrained, Material({}, {}), settings)


def test_frames_of_a_piece_follow_each_other_in_one_walk(run, material):
    source = material.held_out["action_video"]
    world = source.world
    pieces = cut_pieces(run, source, 12, 3)
    assert len(pieces) == 12
    places = [walk[begin : begin + 5] for walk in world.walks for begin in range(len(walk) - 4)]
    for frames, actions in zip(pieces.frames, pieces.actions, strict=True):
        # A walker who turns back sees the same picture twice, so pictures alone do not tell when.
        assert any(
            np.array_equal(world.frames[place], frames)
            and actions == [source.action(a, b) for a, b in pairwise(place)]
            for place in places
        )


def test_shuffled_scripts_are_others_of_other_maps(run, material):
    pieces = cut_pieces(run, material.held_out["action_video"], 12, 3)
    own, wrong = pieces.scripts(2), pieces.shuffled(2, seed=0)
    of_map = {tuple(script): set() for script in own}
    for script, cluster in zip(own, pieces.clusters, strict=True):
        of_map[tuple(script)].add(cluster)
    for script, other, cluster in zip(own, wrong, pieces.clusters, strict=True):
        assert other[0] != script[0], "they differ from the first step on"
        assert of_map[tuple(other)] - {cluster}


def test_one_walk_has_no_other_actions(run, recorded):
    source = recorded.held_out["walks"]
    pieces = cut_pieces(run, source, 100, 1)
    one = Pieces(pieces.frames, pieces.actions, np.zeros(len(pieces), int), pieces.numbers)
    with pytest.raises(NothingToMeasure, match="of one walk"):
        one.shuffled(2, seed=0)


def test_a_broken_frame_takes_its_pieces_alone(run, recorded):
    source = recorded.held_out["walks"]
    whole = len(cut_pieces(run, source, 100, 1))
    source.picture(3).data.write_bytes(b"no picture")
    assert len(cut_pieces(run, source, 100, 1)) == whole - 3
    assert run.log.passed_over()["walks"].reasons == {"a picture cannot be decoded": 3}
