"""A ladder of one aspect, counted by the models themselves."""

import math

import pytest
import torch

from chiasm.batch.streams import Streams, StreamShape
from chiasm.errors import UserError
from chiasm.model.decoder import Decoder
from chiasm.model.settings import ModelSettings
from chiasm.model.work import Work
from chiasm.studies.shapes import ASPECT_WITHIN, Ladder, learning_rate, refuse_fixed_shape
from chiasm.studies.step import Step

STREAMS = Streams(
    (
        StreamShape("image", "vision", (2, 2), 8),
        StreamShape("seen", "vision", (2, 2), 6, context_of="image"),
    )
)
STEP = Step(
    work=Work(
        positions=2000,
        pairs=90_000,
        latents={"image": 400, "seen": 400},
        text_rows=1000,
        latent_rows={"image": 400},
    ),
    batches=2,
    gradient_accumulation_steps=3,
    vocabulary=300,
    streams=STREAMS,
    modality_positions={"text": 1200, "vision": 800},
    source_positions={"texts": 1200, "pictures": 800},
)
MODEL = ModelSettings(width=192, depth=5, query_heads=12, key_value_heads=6)


def test_counts_are_those_of_the_real_model():
    shape = Ladder(MODEL, STEP).shape(96, 2)
    real = Decoder(shape.settings, vocabulary=300, streams=STREAMS)
    count = real.count_parameters()
    assert (shape.active_parameters, shape.total_parameters) == (count.active, count.total)
    assert count.active < count.total  # one expert per modality
    assert shape.step_flops == 3 * 3 * real.forward_flops(STEP.work) / 2
    assert next(real.parameters()).device == torch.device("cpu")


@pytest.mark.slow
@pytest.mark.parametrize("size", [1e5, 1e6, 3e7, 1e9])
def test_the_nearest_shape_keeps_aspect_and_heads(size):
    ladder, taken = Ladder(MODEL, STEP), []
    for _ in range(3):
        shape = ladder.nearest(size, taken)
        assert shape is not None
        assert shape not in taken
        taken.append(shape)
        settings = shape.settings
        assert settings.K == MODEL.K
        assert settings.query_heads == 2 * settings.key_value_heads
        off = math.log(settings.width / settings.depth / (192 / 5))
        assert abs(off) <= math.log(ASPECT_WITHIN) + 1e-9 or settings.depth == 1
    assert taken[0].active_parameters == pytest.approx(size, rel=0.35 if size < 1e6 else 0.15)


def test_the_recipes_own_shape_is_on_its_ladder():
    ladder = Ladder(MODEL, STEP)
    own = ladder.shape(192, 5)
    assert ladder.nearest(own.active_parameters, []) == own
    assert own.settings == MODEL


def test_with_a_depth_width_alone_grows():
    ladder, taken = Ladder(MODEL, STEP, depth=2), []
    for size in (2e4, 4e4, 8e4, 1.6e5):
        shape = ladder.nearest(size, taken)
        taken.append(shape)
        assert shape.settings.depth == 2
        assert shape.settings.K == MODEL.K
    widths = [shape.settings.width for shape in taken]
    assert widths == sorted(set(widths))


def test_the_rate_passes_through_the_recipes_own_and_falls_with_width():
    assert learning_rate(2e-3, 192, 192) == 2e-3
    assert learning_rate(2e-3, 192, 16 * 192) == pytest.approx(2e-3 / 8)
    assert learning_rate(2e-3, 192, 96, exponent=1.0) == pytest.approx(4e-3)


def test_a_width_that_would_not_grow_is_refused():
    with pytest.raises(UserError, match=r"model.feedforward_width = 512 is fixed"):
        refuse_fixed_shape(ModelSettings(feedforward_width=512))
