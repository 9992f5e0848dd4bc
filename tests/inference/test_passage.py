"""Passages agree with what the packer lays out in training."""

from collections.abc import Callable

import torch

from chiasm.data.packing import pack_documents
from chiasm.documents import Document, Image, Text
from chiasm.inference.passage import (
    passage,
    prompt_ids,
    prompt_latents,
    prompt_targets,
)
from chiasm.inference.pretrained import Pretrained
from chiasm.vision.dual import paired
from chiasm.vision.pixels import pixel_tokenizer
from chiasm.vision.tokenizer import encode_images


def test_a_prompt_is_the_beginning_of_a_packed_document(
    pretrained: Pretrained, make_image: Callable[[int], Image]
) -> None:
    text, vision = pretrained.text_tokenizer, pretrained.vision_tokenizer
    spans = (make_image(0), Text("caption: "), Text("a wall"), make_image(1), make_image(2))
    batch = pack_documents([Document(spans)], text, vision.image_shape, 64)

    ids = prompt_ids(spans, text, vision.image_shape)
    own = passage(ids, text.image_id, vision.image_shape)
    length = len(own)

    assert int(batch.ids_BT[0, length]) == text.eod_id
    assert torch.equal(own.ids_T, batch.ids_BT[0, :length])
    assert torch.equal(own.modality_T, batch.modality_BT[0, :length])
    assert torch.equal(own.last_T, batch.last_BT[0, :length])
    assert torch.equal(own.latent_offset_L, batch.latent_position_L)
    assert torch.equal(own.yx_L2, batch.images.yx_L2)
    latents = prompt_latents(spans, vision, torch.device("cpu"))
    torch.testing.assert_close(latents.z_LC, encode_images(vision, batch.images).z_LC)


def test_a_prompt_of_two_tokenizers_is_the_beginning_of_a_packed_document(
    pretrained: Pretrained, make_image: Callable[[int], Image]
) -> None:
    text = pretrained.text_tokenizer
    vision = paired(target=pixel_tokenizer(8, 4), context=pixel_tokenizer(12, 4))
    drawn = [Image(make_image(seed).data, target=True) for seed in (1, 2)]
    spans = (make_image(0), Text("a wall"), *drawn, make_image(3), Text("b"))
    batch = pack_documents([Document(spans)], text, vision.shapes, 64)

    ids = prompt_ids(spans, text, vision.shapes)
    own = passage(ids, text.image_id, vision.shapes, prompt_targets(spans))

    assert torch.equal(own.ids_T, batch.ids_BT[0, : len(own)])
    assert torch.equal(own.last_T, batch.last_BT[0, : len(own)])
    assert torch.equal(own.yx_L2, batch.images.yx_L2)
    assert torch.equal(own.target_L.nonzero().squeeze(1), batch.images.target_G)
    latents = prompt_latents(spans, vision, torch.device("cpu"))
    expected = encode_images(vision, batch.images)
    torch.testing.assert_close(latents.z_LC, expected.z_LC)
    torch.testing.assert_close(latents.context_UA, expected.context_UA)


def test_an_empty_prompt_is_the_beginning_of_a_document(pretrained: Pretrained) -> None:
    text, vision = pretrained.text_tokenizer, pretrained.vision_tokenizer
    assert prompt_ids((), text, vision.image_shape).tolist() == [text.bod_id]
    assert prompt_latents((), vision, torch.device("cpu")).z_LC.shape == (0, vision.channels)


def test_pictures_of_other_sizes_are_fitted(pretrained: Pretrained) -> None:
    pixels = torch.zeros(20, 33, 3, dtype=torch.uint8).numpy()
    latents = prompt_latents(
        (Image(pixels, target=False),), pretrained.vision_tokenizer, torch.device("cpu")
    )
    assert latents.z_LC.shape == (4, pretrained.vision_tokenizer.channels)
