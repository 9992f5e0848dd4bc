"""Reading in pieces equals reading at once, whatever group reads."""

from collections.abc import Callable

import pytest
import torch
from chiasm.batch.latents import ImageLatents

from chiasm.inference.history import History, lay_out
from chiasm.inference.passage import Passage, passage
from chiasm.inference.pretrained import Pretrained


@pytest.fixture
def compose(pretrained: Pretrained) -> Callable[[list[int]], Passage]:
    text, vision = pretrained.text_tokenizer, pretrained.vision_tokenizer
    return lambda ids: passage(ids, text.image_id, vision.image_shape)


def at_once(pretrained: Pretrained, whole: Passage, z_LC: torch.Tensor) -> torch.Tensor:
    """Hidden vector of the last position, without a cache."""
    reading = lay_out([whole], ImageLatents(z_LC), torch.ones(len(z_LC)), [0], cache=None)
    return pretrained.decoder(reading.inputs, reading.mask)[0, -1]


def test_pieces_of_different_lengths_in_changing_groups(
    pretrained: Pretrained, compose: Callable[[list[int]], Passage]
) -> None:
    text, vision = pretrained.text_tokenizer, pretrained.vision_tokenizer
    image = [text.boi_id, *[text.image_id] * 4, text.eoi_id]
    begins = [[text.bod_id, 20 + row, *range(30, 30 + row)] for row in range(4)]
    documents = [[*begin, *image, 40, 41] for begin in begins]
    latents = torch.randn(4, 4, vision.channels, generator=torch.Generator().manual_seed(0))

    history = History(pretrained.decoder, 4, capacity=16)
    last = dict(enumerate(history.read(range(4), [compose(ids) for ids in begins])))

    def read(members: list[int], ids: list[int], *, z: bool = False) -> None:
        group = history.gather(members)
        z_LC = torch.cat([latents[member] for member in group])
        given = ImageLatents(z_LC) if z else None
        hidden = history.read(group, [compose(ids)] * len(group), given)
        last.update(zip(group, hidden, strict=True))

    read([3, 1], image, z=True)
    read([1], [40])
    read([2, 0], image, z=True)
    read([2, 3], [40])
    read([0], [40])
    read([3, 0, 1, 2], [41])

    for member, ids in enumerate(documents):
        assert history.held(member) == len(ids)
        expected = at_once(pretrained, compose(ids), latents[member])
        torch.testing.assert_close(last[member], expected, atol=1e-4, rtol=1e-4)


def test_what_is_laid_out_but_not_read_leaves_no_trace(
    pretrained: Pretrained, compose: Callable[[list[int]], Passage]
) -> None:
    text, vision = pretrained.text_tokenizer, pretrained.vision_tokenizer
    image = compose([text.image_id] * 4)
    histories = [History(pretrained.decoder, 1, capacity=12) for _ in range(2)]
    for history in histories:
        history.read([0], [compose([text.bod_id, 30, text.boi_id])])
    noise = ImageLatents(torch.randn(4, vision.channels))
    noisy = histories[1].lay_out([0], [image], noise, torch.zeros(4))
    pretrained.decoder(noisy.inputs, noisy.mask, noisy.cache)
    closed = compose([*[text.image_id] * 4, text.eoi_id])
    latents = ImageLatents(torch.randn(4, vision.channels))
    first, second = (history.read([0], [closed], latents) for history in histories)
    assert torch.equal(first, second)
