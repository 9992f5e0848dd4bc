"""Both branches of guidance against the training batch that they stand for."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from chiasm.batch.latents import ImageLatents
from chiasm.data.packing import pack_documents
from chiasm.data.rows import Assembler, Row
from chiasm.documents import Document, Image, Text
from chiasm.flow import velocity
from chiasm.inference.canvas import Canvas
from chiasm.inference.history import History
from chiasm.inference.passage import passage, prompt_ids
from chiasm.inference.pretrained import Pretrained
from chiasm.model import DecoderInput, IntervalMask

TIME = 0.4
WORDS = "picture: a wall"


def training_velocity(pretrained: Pretrained, z_LC: torch.Tensor, *, dropped: bool) -> torch.Tensor:
    """The velocity of one target image in a packed batch, its condition dropped or not."""
    text, vision = pretrained.text_tokenizer, pretrained.vision_tokenizer
    pixels = np.zeros((8, 8, 3), dtype=np.uint8)
    document = Document((Text(WORDS), Image(pixels, target=True)))
    batch = pack_documents([document], text, vision.image_shape, 64)
    row = Row(
        ids_T=batch.ids_BT[0].numpy(),
        document_T=batch.document_BT[0].numpy(),
        position_T=batch.position_BT[0].numpy(),
        source_S=np.zeros(1, dtype=np.int64),
        target_I=np.ones(1, dtype=bool),
        pictures=batch.images.pixels,
        lane=0,
        number=0,
    )
    drop = 1.0 if dropped else 0.0
    batch = Assembler(text, vision.image_shape, ("pictures",), condition_drop=drop, seed=0)([row])
    assert bool(batch.images.dropped_N[0]) == dropped
    inputs = DecoderInput.from_batch(batch, ImageLatents(z_LC), torch.tensor([TIME]))
    x_BTD = pretrained.decoder(inputs, IntervalMask.from_batch(batch))
    output_LC = pretrained.decoder.latent_output(x_BTD.flatten(0, 1)[batch.latent_position_L])
    return velocity(output_LC, z_LC, inputs.time_L, pretrained.flow.prediction)


def canvas_velocity(pretrained: Pretrained, z_LC: torch.Tensor, guidance: float) -> torch.Tensor:
    text, vision = pretrained.text_tokenizer, pretrained.vision_tokenizer

    def compose(ids):
        return passage(ids, text.image_id, vision.image_shape)

    history = History(pretrained.decoder, 2, capacity=48)
    ids = prompt_ids((Text(WORDS),), text, vision.image_shape)
    other = [text.bod_id, 40, 41, text.boi_id]  # another request, shorter, in the same batch
    history.read([0, 1], [compose([*ids, text.boi_id]), compose(other)])
    image = [text.image_id] * vision.image_shape.num_tokens
    canvas = Canvas(
        pretrained.decoder,
        pretrained.flow.prediction,
        history,
        [0, 1],
        image=compose(image),
        opened_image=compose([text.boi_id, *image]),
        guidance=guidance,
    )
    return canvas.velocity(torch.stack((z_LC, -z_LC)), TIME)[0]


@pytest.mark.parametrize("prediction", ["x", "v", "epsilon"])
@pytest.mark.parametrize("conditioning", ["added", "adaptive"])
def test_guidance_mixes_the_two_velocities_of_training(
    build: Callable[..., Pretrained], prediction: str, conditioning: str
) -> None:
    pretrained = build(prediction=prediction, time_conditioning=conditioning)
    z_LC = torch.randn(
        4, pretrained.vision_tokenizer.channels, generator=torch.Generator().manual_seed(1)
    )
    conditional = training_velocity(pretrained, z_LC, dropped=False)
    unconditional = training_velocity(pretrained, z_LC, dropped=True)
    assert not torch.allclose(conditional, unconditional, atol=1e-2)
    for guidance in (0.0, 1.0, 3.0):
        torch.testing.assert_close(
            canvas_velocity(pretrained, z_LC, guidance),
            unconditional + guidance * (conditional - unconditional),
            atol=1e-3,
            rtol=1e-3,
        )
