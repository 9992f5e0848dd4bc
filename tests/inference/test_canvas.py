"""Both branches of guidance against the training batch that they stand for."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from chiasm.data.packing import pack_documents
from chiasm.data.rows import Assembler, Row
from chiasm.documents import Continuous, Document, Image, Text
from chiasm.flow import velocity
from chiasm.inference.canvas import Canvas, item_passage
from chiasm.inference.history import History
from chiasm.inference.passage import Passage, prompt_passage
from chiasm.inference.pretrained import Pretrained
from chiasm.model.inputs import DecoderInput
from chiasm.model.mask import IntervalMask

TIME = 0.4
WORDS = "picture: a wall"
TARGETS = {
    "image": Image(np.zeros((8, 8, 3), dtype=np.uint8), target=True),
    "series": Continuous([0.0] * 6, target=True, stream="series"),
}


def training_velocity(
    pretrained: Pretrained,
    stream: str,
    z_LC: torch.Tensor,
    *,
    dropped: bool,
    inner: bool = False,
    step: float = 0.0,
) -> torch.Tensor:
    """The velocity of one target in a packed batch, its condition dropped or not, for a step, by
    the last head or by the one in the middle."""
    text, tokenizers = pretrained.text_tokenizer, pretrained.tokenizers
    document = Document((Text(WORDS), TARGETS[stream]))
    batch = pack_documents([document], text, tokenizers, 64)
    row = Row(
        ids_T=batch.ids_BT[0].numpy(),
        document_T=batch.document_BT[0].numpy(),
        position_T=batch.position_BT[0].numpy(),
        source_S=np.zeros(1, dtype=np.int64),
        stream_I=np.array([tokenizers.streams.names.index(stream)]),
        target_I=np.ones(1, dtype=bool),
        contents=batch.slots[stream].items,
        grids=(tokenizers.streams[stream].grid,),
        lane=0,
        number=0,
    )
    drop = 1.0 if dropped else 0.0
    batch = Assembler(text, tokenizers.streams, ("one",), condition_dropout=drop, seed=0)([row])
    slots = batch.slots[stream]
    assert bool(slots.dropped_N[0]) == dropped
    z = {
        shape.name: z_LC if shape.name == stream else torch.zeros(0, shape.channels)
        for shape in tokenizers.streams
    }
    times = {name: torch.full((len(own),), TIME) for name, own in batch.slots.items()}
    steps = {name: torch.full((len(own),), step) for name, own in batch.slots.items()}
    inputs = DecoderInput.from_batch(batch, z, times, steps)
    decoder, mask = pretrained.decoder, IntervalMask.from_batch(batch)
    if inner:
        [x_BTD] = decoder.forward_with_routing(inputs, mask, behind=(1,)).behind
        output_LC = decoder.inner_head(stream, x_BTD.flatten(0, 1)[slots.position_L])
    else:
        x_BTD = decoder(inputs, mask)
        output_LC = decoder.latent_output(stream, x_BTD.flatten(0, 1)[slots.position_L])
    time_L = torch.full((len(z_LC),), TIME)
    return velocity(output_LC, z_LC, time_L, pretrained.flow.prediction)


def canvas_velocity(
    pretrained: Pretrained,
    stream: str,
    z_LC: torch.Tensor,
    guidance: float,
    inner: float = 1.0,
    step: float = 0.0,
) -> torch.Tensor:
    text = pretrained.text_tokenizer
    marks = text.marks[stream]
    history = History(pretrained.decoder, 2, capacity=48)
    prompt = prompt_passage((Text(WORDS),), text, pretrained.tokenizers)
    other = [text.bod_id, 40, 41, marks.begin]  # another request, shorter, in the same batch
    history.read([0, 1], [Passage([*prompt.ids, marks.begin]), Passage(other)])
    shape = pretrained.decoder.shapes[stream]
    canvas = Canvas(pretrained, shape, history, [0, 1], guidance, inner, step)
    return canvas.velocity(torch.stack((z_LC, -z_LC)), TIME)[0]


@pytest.mark.parametrize("stream", ["image", "series"])
@pytest.mark.parametrize("prediction", ["x", "v", "epsilon"])
@pytest.mark.parametrize(
    "model",
    [
        {"time_conditioning": "added"},
        {"time_conditioning": "adaptive"},
        {"attention_weights": "modality"},
    ],
)
def test_guidance_mixes_the_two_velocities_of_training(
    build: Callable[..., Pretrained], stream: str, prediction: str, model: dict
) -> None:
    pretrained = build(prediction=prediction, series=True, **model)
    shape = pretrained.decoder.shapes[stream]
    size = (shape.num_tokens, shape.channels)
    z_LC = torch.randn(size, generator=torch.Generator().manual_seed(1))
    conditional = training_velocity(pretrained, stream, z_LC, dropped=False)
    unconditional = training_velocity(pretrained, stream, z_LC, dropped=True)
    assert not torch.allclose(conditional, unconditional, atol=1e-2)
    for guidance in (0.0, 1.0, 3.0):
        torch.testing.assert_close(
            canvas_velocity(pretrained, stream, z_LC, guidance),
            unconditional + guidance * (conditional - unconditional),
            atol=1e-3,
            rtol=1e-3,
        )


@pytest.mark.parametrize("stream", ["image", "series"])
@pytest.mark.parametrize("prediction", ["x", "preconditioned"])
@pytest.mark.parametrize("model", [{}, {"attention_weights": "modality"}])
def test_the_head_in_the_middle_guides_as_a_worse_model(
    build: Callable[..., Pretrained], stream: str, prediction: str, model: dict
) -> None:
    pretrained = build(prediction=prediction, series=True, inner={"block": 1}, **model)
    shape = pretrained.decoder.shapes[stream]
    size = (shape.num_tokens, shape.channels)
    z_LC = torch.randn(size, generator=torch.Generator().manual_seed(1))
    own, without = (
        training_velocity(pretrained, stream, z_LC, dropped=dropped) for dropped in (False, True)
    )
    worse = training_velocity(pretrained, stream, z_LC, dropped=False, inner=True)
    assert not torch.allclose(own, worse, atol=1e-2)
    for guidance in (1.0, 3.0):
        plain = canvas_velocity(pretrained, stream, z_LC, guidance)
        assert torch.equal(canvas_velocity(pretrained, stream, z_LC, guidance, 1.0), plain)
        torch.testing.assert_close(
            canvas_velocity(pretrained, stream, z_LC, guidance, 2.5),
            own + (guidance - 1) * (own - without) + 1.5 * (own - worse),
            atol=1e-3,
            rtol=1e-3,
        )
    torch.testing.assert_close(  # as it is written elsewhere
        canvas_velocity(pretrained, stream, z_LC, 1.0, 2.5),
        worse + 2.5 * (own - worse),
        atol=1e-3,
        rtol=1e-3,
    )


@pytest.mark.parametrize("time_conditioning", ["added", "adaptive"])
def test_both_branches_are_told_how_long_a_step_is(
    build: Callable[..., Pretrained], time_conditioning: str
) -> None:
    pretrained = build(shortcut_steps=8, time_conditioning=time_conditioning)
    z_LC = torch.randn(4, 48, generator=torch.Generator().manual_seed(1))
    short, long = (
        {
            dropped: training_velocity(pretrained, "image", z_LC, dropped=dropped, step=step)
            for dropped in (False, True)
        }
        for step in (0.0, 0.5)
    )
    for dropped in (False, True):
        assert not torch.allclose(short[dropped], long[dropped], atol=1e-2)
    torch.testing.assert_close(
        canvas_velocity(pretrained, "image", z_LC, 3.0, step=0.5),
        long[True] + 3.0 * (long[False] - long[True]),
        atol=1e-3,
        rtol=1e-3,
    )


def test_an_item_is_read_alone_or_before_its_end(with_series: Pretrained) -> None:
    for shape in with_series.decoder.shapes:
        _, end, fill = marks = with_series.text_tokenizer.marks[shape.name]
        alone = item_passage(shape, marks)
        closed = item_passage(shape, marks, closed=True)
        latent = [fill] * shape.num_tokens
        assert alone.ids == latent
        assert closed.ids == [*latent, end]
        assert alone.items == closed.items == ((shape.name, 0, shape.grid),)
