"""Pieces of walks: what follows what, and what is left out."""

from itertools import pairwise

import numpy as np

from chiasm.data import ImageShape
from chiasm.evaluation.pieces import cut_pieces, others

SHAPE = ImageShape(32, 32, 2, 2)


def test_frames_of_a_piece_follow_each_other_in_one_walk(material):
    source = material.held_out["action_video"]
    world = source.world
    pieces = cut_pieces(source, 12, 2, 3, SHAPE)
    assert len(pieces) == 12
    places = [walk[begin : begin + 5] for walk in world.walks for begin in range(len(walk) - 4)]
    for frames, actions in zip(pieces.frames, pieces.actions, strict=True):
        # A walker who turns back sees the same picture twice, so pictures alone do not tell when.
        assert any(
            np.array_equal(world.frames[place], frames)
            and actions == [source.action(a, b) for a, b in pairwise(place)]
            for place in places
        )


def test_the_others_come_from_other_maps(material):
    pieces = cut_pieces(material.held_out["action_video"], 12, 2, 1, SHAPE)
    assert sorted(others(12)) == list(range(12))
    assert (pieces.clusters[others(12)] != pieces.clusters).all()


def test_a_broken_frame_takes_its_pieces_alone(recorded):
    source = recorded.held_out["walks"]
    whole = len(cut_pieces(source, 100, 2, 1, SHAPE))
    source.picture(3).data.write_bytes(b"no picture")
    assert len(cut_pieces(source, 100, 2, 1, SHAPE)) == whole - 3
