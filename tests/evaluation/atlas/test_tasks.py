"""Reading against drawing: equal and opposite routing, and what lies between."""

import numpy as np
import pytest
import torch

from chiasm.evaluation.atlas.atlas import draw_atlas
from chiasm.evaluation.atlas.observation import Task
from chiasm.evaluation.atlas.tasks import pearson

TEXT, VISION, CONTENT = 0, 1, slice(4, 16)


def test_equal_routing_has_a_correlation_of_one(forced, content_weights, material):
    """The choice hangs on the place in the picture, which reading and drawing share."""
    tasks = draw_atlas(forced(content_weights), material).tasks
    for told in (tasks.between.value, tasks.between.low, tasks.halves_Q, tasks.by_time_GQ):
        assert told == pytest.approx(np.ones(told.shape))
    assert np.array_equal(tasks.read_QR, tasks.drawn_QR)
    assert tasks.documents == {Task.UNDERSTANDING: 30, Task.GENERATION: 30}


def test_routing_by_flow_time_sets_drawing_apart_and_the_tenths_show_it(forced, material):
    """Experts 0 and 1 where the picture is noise, 6 and 7 where it is clean."""
    pretrained = forced(torch.zeros(8, 16))
    decoder = pretrained.decoder
    embed = decoder.time_embedding

    def by_time(time_L: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        out = torch.zeros(len(time_L), 16)
        out[:, 2] = torch.where(time_L > 0.7, 1.0, -1.0)
        return out

    embed.forward = by_time
    for block in decoder.blocks:
        block.experts.router.weight[[0, 1], 2] = -10.0
        block.experts.router.weight[[6, 7], 2] = 10.0
    tasks = draw_atlas(pretrained, material).tasks
    assert tasks.by_time_GQ[-1] == pytest.approx(np.ones(2))
    assert (tasks.by_time_GQ[0] < 0).all()
    assert (tasks.between.value < 0.9).all()


def test_words_are_the_floor(forced, content_weights, material):
    content_weights[:4, TEXT] = content_weights[4:, VISION] = 100.0
    tasks = draw_atlas(forced(content_weights), material).tasks
    assert (tasks.with_text_Q < 0).all()
    assert tasks.between.value == pytest.approx(np.ones(2))


def test_pearson_is_numpys():
    random = np.random.default_rng(0)
    first, second = random.normal(size=(2, 3, 9))
    expected = [np.corrcoef(a, b)[0, 1] for a, b in zip(first, second, strict=True)]
    assert pearson(first, second) == pytest.approx(expected)
    assert np.isnan(pearson(first, np.ones((3, 9)))).all()
