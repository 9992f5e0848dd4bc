"""Passages agree with what the packer lays out in training."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from chiasm.data.packing import pack_documents
from chiasm.documents import Continuous, Document, Image, Span, Text
from chiasm.errors import UserError
from chiasm.inference.history import lay_out
from chiasm.inference.passage import prompt_passage
from chiasm.inference.pretrained import Pretrained

CPU = torch.device("cpu")


def assert_begins_as_packed(pretrained: Pretrained, spans: tuple[Span, ...]) -> None:
    """The prompt's passage, and what the decoder is given of it, against the packed document."""
    text, tokenizers = pretrained.text_tokenizer, pretrained.tokenizers
    batch = pack_documents([Document(spans)], text, tokenizers, 96)
    own = prompt_passage(spans, text, tokenizers)
    length = len(own)
    assert int(batch.ids_BT[0, length]) == text.eod_id
    assert own.ids == batch.ids_BT[0, :length].tolist()

    latents = tokenizers.encode_spans(list(Document(spans).items), CPU)
    reading = lay_out(pretrained.decoder, [own], latents, 1.0, [0], cache=None)
    for name in ("modality_BT", "position_BT"):
        assert torch.equal(getattr(reading.inputs, name), getattr(batch, name)[:, :length]), name
    for name in ("first_BT", "last_BT"):
        assert torch.equal(getattr(reading.mask, name), getattr(batch, name)[:, :length]), name
    encoded = tokenizers.encode(batch.slots)
    assert set(latents) == {name for name, slots in batch.slots.items() if len(slots)}
    for name, read in reading.inputs.latents.items():
        assert torch.equal(read.position_L, batch.slots[name].position_L)
        assert torch.equal(read.place_LA, batch.slots[name].place_LA)
        torch.testing.assert_close(read.z_LC, encoded[name])


def test_a_prompt_is_the_beginning_of_a_packed_document(
    pretrained: Pretrained, make_image: Callable[[int], Image]
) -> None:
    spans = (make_image(0), Text("caption: "), Text("a wall"), make_image(1), make_image(2))
    assert_begins_as_packed(pretrained, spans)


def test_a_prompt_of_two_tokenizers_is_the_beginning_of_a_packed_document(
    build: Callable[..., Pretrained], make_image: Callable[[int], Image]
) -> None:
    drawn = [Image(make_image(seed).data, target=True) for seed in (1, 2)]
    spans = (make_image(0), Text("a wall"), *drawn, make_image(3), Text("b"))
    pretrained = build(seen_pixels=12)
    assert_begins_as_packed(pretrained, spans)
    own = prompt_passage(spans, pretrained.text_tokenizer, pretrained.tokenizers)
    assert [item.stream for item in own.items] == ["seen", "image", "image", "seen"]


def test_a_prompt_of_three_modalities_is_the_beginning_of_a_packed_document(
    with_series: Pretrained,
    make_image: Callable[[int], Image],
    make_series: Callable[[int], Continuous],
) -> None:
    spans = (make_series(0), Text("a"), make_image(0), make_series(1), Text("b"), make_image(1))
    assert_begins_as_packed(with_series, spans)


def test_an_empty_prompt_is_the_beginning_of_a_document(pretrained: Pretrained) -> None:
    text, tokenizers = pretrained.text_tokenizer, pretrained.tokenizers
    assert prompt_passage((), text, tokenizers).ids == [text.bod_id]
    assert tokenizers.encode_spans((), CPU) == {}


def test_a_document_goes_on_with_text_behind_a_prompt(
    pretrained: Pretrained, picture: Image
) -> None:
    text, reader = pretrained.text_tokenizer, pretrained.tokenizers
    begun = prompt_passage((picture,), text, reader)
    whole = prompt_passage((picture, Text("a wall")), text, reader)
    assert [*begun.ids, *text.encode("a wall")] == whole.ids
    assert begun.items == whole.items == (("image", 2, (2, 2)),)


def test_pictures_of_other_sizes_are_fitted(pretrained: Pretrained) -> None:
    pixels = np.zeros((20, 33, 3), np.uint8)
    latents = pretrained.tokenizers.encode_spans((Image(pixels, target=False),), CPU)
    assert latents["image"].shape == (4, pretrained.vision_tokenizer.channels)


def test_a_prompt_of_a_stream_that_the_model_has_not_is_refused(
    pretrained: Pretrained, make_series: Callable[[int], Continuous]
) -> None:
    with pytest.raises(UserError, match=r"no stream 'series' here, only image"):
        prompt_passage((make_series(0),), pretrained.text_tokenizer, pretrained.tokenizers)
