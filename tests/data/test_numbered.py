import numpy as np
import pytest
from pydantic import ValidationError

from chiasm.data.numbered import NumberedFrames, SpacedFrames


class Walks(NumberedFrames):
    """Three walks of 3, 1 and 2 frames, whose documents begin with the first two of each."""

    def __init__(self, task: str) -> None:
        super().__init__("walks", task, (3, 1, 2))
        self._starts = np.array([0, 1, 3, 4, 5])


def test_frames_are_numbered_through_all_walks() -> None:
    walks = Walks("video")
    assert walks.num_frames == 6
    assert [walks.place_of(frame) for frame in range(6)] == [0, 0, 0, 1, 2, 2]
    assert [walks._placed(frame) for frame in (0, 2, 3, 5)] == [(0, 0), (0, 2), (1, 0), (2, 1)]
    assert [walks._bounds(number) for number in range(3)] == [(0, 3), (3, 4), (4, 6)]


def test_documents_go_through_all_first_frames_before_any_recurs() -> None:
    walks = Walks("video")
    assert [walks.frame_of(index) for index in range(7)] == [0, 1, 3, 4, 5, 0, 1]
    assert [walks.cluster_of(index) for index in range(7)] == [0, 0, 1, 2, 2, 0, 0]


def test_frames_of_videos_are_drawn_and_those_of_action_videos_are_given_too() -> None:
    assert Walks("video").shown_as == {True}
    assert Walks("action_video").shown_as == {False, True}


@pytest.mark.parametrize("frames", [(1, 4), (4, 2)])
def test_a_document_has_two_frames_or_more(frames: tuple[int, int]) -> None:
    assert SpacedFrames(frames=(2, 2)).frames == (2, 2)
    with pytest.raises(ValidationError, match="must be two rising numbers from 2 on"):
        SpacedFrames(frames=frames)
