"""What is counted is what the routers chose, each position once and in its group."""

import numpy as np
import pytest

from chiasm.documents import Document, Image, Text
from chiasm.evaluation.atlas.observation import CONTEXT, TARGET, TEXT, Task, observe, task_of
from chiasm.evaluation.atlas.settings import AtlasSettings
from chiasm.evaluation.scoring import batches
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.training.objective import Objective
from chiasm.training.settings import ObjectiveSettings
from chiasm.vision.pixels import pixel_tokenizer

SETTINGS = AtlasSettings(documents=30)


def ignore(what: str, done: int, of: int) -> None:
    pass


@pytest.fixture(scope="module")
def observed(mixture, material):
    return observe(mixture(shared_experts="modality", top_k=2), material.held_out, SETTINGS, ignore)


def test_loads_are_those_that_training_would_count(observed, mixture, material):
    pretrained = mixture(shared_experts="modality", top_k=2)
    objective = Objective(ObjectiveSettings(**pretrained.flow.model_dump()))
    documents = [d for source in material.held_out.values() for d in source.items]
    load_QXR = np.zeros((2, 2, 6), np.int64)
    for number, (_, batch) in enumerate(batches(documents, pretrained)):
        latents = pretrained.tokenizers.encode(batch.slots)
        load_QXR += objective.losses(pretrained.decoder, batch, latents, number).load_QXE.numpy()
    own = [observed.counts(*parts).sum(axis=0) for parts in ((TEXT,), (CONTEXT, TARGET))]
    assert np.array_equal(np.stack(own, axis=1), load_QXR)


def test_every_position_makes_its_choices_in_every_block(observed):
    for table in (observed.parts, observed.noise, observed.document_places, observed.image_places):
        assignments = table.count_DGQR.sum(axis=3)
        expected = table.positions_DG[..., None] * observed.choices
        assert np.array_equal(assignments, np.broadcast_to(expected, assignments.shape))


def test_positions_are_in_their_groups(observed):
    positions = observed.parts.positions_DG
    assert (positions[:30, CONTEXT] == 4).all()  # captions read one picture of 2 x 2 tokens
    assert (positions[30:60, TARGET] == 4).all()
    assert not positions[:30, TARGET].any()
    assert not positions[30:60, CONTEXT].any()
    assert not positions[60:, CONTEXT:].any()
    assert (positions[:, TEXT] > 0).all()
    assert (observed.image_places.positions_DG[:60] == 1).all()  # each field holds one token
    assert (observed.noise.positions_DG[30:60] == 4).all()  # each target once at each level
    assert not observed.noise.positions_DG[:30].any()
    places = observed.document_places
    assert np.array_equal(places.positions_DG.sum(axis=1), positions[:, TEXT])
    assert observed.source_D.tolist() == [0] * 30 + [1] * 30 + [2] * 20


@pytest.mark.parametrize("context_pixels", [None, 12])
def test_routing_of_context_pictures_follows_the_pictures(mixture, captions_of, context_pixels):
    """With one stream, and with another one for context pictures; the words come after them."""
    tokenizers = {"image": pixel_tokenizer(8, 4)}
    if context_pixels:
        tokenizers["seen"] = pixel_tokenizer(context_pixels, 4)
    pretrained = mixture(tokenizers=StreamTokenizers(tokenizers, {"seen": "image"}))
    one, other = (
        observe(pretrained, {"captions": captions_of(seed)}, SETTINGS, ignore).counts(CONTEXT)
        for seed in (1, 2)
    )
    assert one.sum() == other.sum()
    assert (one != other).any(axis=(1, 2)).sum() > 15  # of 30 documents


def test_pairs_are_of_two_experts_and_their_diagonal_is_the_load(observed):
    text_QR = observed.counts(TEXT).sum(axis=0)
    assert np.array_equal(np.diagonal(observed.pairs_XQRR[0], axis1=1, axis2=2), text_QR)
    vision_QR = observed.counts(CONTEXT, TARGET).sum(axis=0)
    assert np.array_equal(np.diagonal(observed.pairs_XQRR[1], axis1=1, axis2=2), vision_QR)


def test_dense_blocks_and_shared_experts_are_left_out(mixture, material):
    pretrained = mixture(depth=3, dense_blocks=1, shared_experts="global", top_k=2)
    seen = observe(pretrained, material.held_out, SETTINGS, ignore)
    assert seen.parts.count_DGQR.shape[2:] == (2, 7)
    assert seen.choices == 2


@pytest.mark.parametrize(
    ("spans", "task"),
    [
        ("cT", Task.UNDERSTANDING),
        ("cTT", Task.UNDERSTANDING),
        ("Tt", Task.GENERATION),
        ("Tc", Task.OTHER),
        ("Ttt", Task.OTHER),
        ("cTt", Task.OTHER),
        ("T", Task.OTHER),
        ("c", Task.OTHER),
    ],
)
def test_the_task_follows_from_the_form(spans, task):
    """c and t are pictures, context and target; T is text."""
    pixels = np.zeros((8, 8, 3), np.uint8)
    made = {"c": Image(pixels, target=False), "t": Image(pixels, target=True), "T": Text("x")}
    assert task_of(Document(tuple(made[span] for span in spans))) is task
