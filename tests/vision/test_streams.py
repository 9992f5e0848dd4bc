"""One stream of pictures that are seen and one of those that are drawn."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from chiasm.assembly import check_feasible, open_tokenizers, train_run
from chiasm.batch.packed import PackedBatch
from chiasm.data.packing import pack_documents
from chiasm.data.tokenizer import TextTokenizer
from chiasm.documents import Document, Image, Text
from chiasm.errors import UserError
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import Request, SamplingSettings
from chiasm.inference.sampler import Sampler
from chiasm.inference.tasks import next_view
from chiasm.model.decoder import Decoder
from chiasm.model.settings import ModelSettings
from chiasm.recipe import parse_recipe
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.training.noise import draw_noise
from chiasm.training.objective import Objective
from chiasm.training.settings import ObjectiveSettings
from chiasm.vision.pixels import pixel_tokenizer

IMAGE = {"kind": "pixels", "image_pixels": 8, "patch_pixels": 4}
SEEN = {"kind": "pixels", "image_pixels": 12, "patch_pixels": 4, "context_of": "image"}
TWO = {"image": IMAGE, "seen": SEEN}
TEXTS = ["caption: a brick wall", "picture: water and grass", "question: how many? answer: 2\n"]
SHAPE = {"width": 32, "depth": 2, "query_heads": 4, "key_value_heads": 2}


def picture(seed: int, target: bool) -> Image:
    return Image(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8), target)


DOCUMENTS = [
    Document((picture(0, False), Text("caption: a wall"), picture(1, True), Text("and"))),
    Document((picture(2, True), picture(3, True), Text("water"), picture(4, False))),
    Document((Text("picture: grass"), picture(5, True))),
]


@pytest.fixture
def text() -> TextTokenizer:
    return TextTokenizer.train(TEXTS, 300)


def streams(image: Tokenizer, seen: Tokenizer | None = None) -> StreamTokenizers:
    if seen is None:
        return StreamTokenizers({"image": image})
    return StreamTokenizers({"image": image, "seen": seen}, {"seen": "image"})


@pytest.fixture
def two() -> StreamTokenizers:
    """Targets of 2 x 2 tokens of 48 channels, context of 6 x 6 tokens of 12."""
    return streams(pixel_tokenizer(8, 4), pixel_tokenizer(12, 2))


def packed(text: TextTokenizer, tokenizers: StreamTokenizers) -> PackedBatch:
    return pack_documents(DOCUMENTS, text, tokenizers, 96)


def decoder_of(text: TextTokenizer, tokenizers: StreamTokenizers) -> Decoder:
    """With weights large enough that every input matters."""
    decoder = Decoder(
        ModelSettings(**SHAPE), vocabulary=text.vocabulary_size, streams=tokenizers.streams
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in sorted(decoder.named_parameters()):
            if ".seen." not in name:
                parameter.add_(0.15 * torch.randn(parameter.shape, generator=generator))
    return decoder


def test_each_stream_reads_its_pictures(text: TextTokenizer, two: StreamTokenizers) -> None:
    batch = packed(text, two)
    batch.validate()
    assert batch.slots["image"].grid_NA.tolist() == [[2, 2]] * 4
    assert batch.slots["seen"].grid_NA.tolist() == [[6, 6]] * 2
    latents = two.encode(batch.slots)
    assert latents.keys() == two.keys()
    shown = [image for document in DOCUMENTS for image in document.images]
    for name, own in two.items():
        slots = batch.slots[name]
        assert slots.target_N.tolist() == [name == "image"] * len(slots)
        mine = [own.read(image.data) for image in shown if image.target == (name == "image")]
        assert sorted(i.tolist() for i in slots.items) == sorted(i.tolist() for i in mine)
        expected_LC = own.encode(torch.stack(slots.items)).flatten(0, 1)
        torch.testing.assert_close(latents[name], expected_LC)


def test_two_streams_of_equal_tokenizers_are_one_stream(text: TextTokenizer) -> None:
    """Where both tokenizers and all ways in are the same, so are losses and continuations."""
    one = streams(pixel_tokenizer(8, 4))
    pair = streams(pixel_tokenizer(8, 4), pixel_tokenizer(8, 4))
    decoders = decoder_of(text, one), decoder_of(text, pair)
    own = dict(decoders[1].named_parameters())
    with torch.no_grad():
        for name, parameter in own.items():
            if ".seen." in name:
                parameter.copy_(own[name.replace(".seen.", ".image.")])
    objective = Objective(ObjectiveSettings())
    batch = packed(text, one)
    slots = batch.slots["image"]
    noise_LC, time_N = draw_noise(batch, "image", 0), objective.flow_times(batch, 0)["image"]
    of_target_L = slots.target_N[slots.item_L]
    whole = objective.losses(
        decoders[0], batch, one.encode(batch.slots), 0, {"image": time_N}, {"image": noise_LC}
    )
    parted = packed(text, pair)
    losses = objective.losses(
        decoders[1],
        parted,
        pair.encode(parted.slots),
        0,
        {"image": time_N[slots.target_N], "seen": time_N[~slots.target_N]},
        {"image": noise_LC[of_target_L], "seen": noise_LC[~of_target_L]},
    )
    torch.testing.assert_close(losses.text.sum_S, whole.text.sum_S)
    torch.testing.assert_close(losses.flow["image"].sum_bins, whole.flow["image"].sum_bins)
    assert losses.flow.keys() == {"image"}

    request = Request((picture(7, False), Text("video:"), picture(8, True)), 3, opens=True)
    quick = SamplingSettings(steps=2, max_tokens=8, temperature=0)
    drawn = [
        Sampler(Pretrained(decoder, text, tokenizers, ObjectiveSettings(), 96)).generate(
            [request], quick
        )[0]
        for decoder, tokenizers in zip(decoders, (one, pair), strict=True)
    ]
    assert (drawn[0][0].pixels() == drawn[1][0].pixels()).all()
    assert drawn[0][1:] == drawn[1][1:]


def test_all_ways_in_learn(text: TextTokenizer, two: StreamTokenizers) -> None:
    batch, decoder = packed(text, two), decoder_of(text, two)
    losses = Objective(ObjectiveSettings()).losses(decoder, batch, two.encode(batch.slots), seed=0)
    (losses.text.sum + losses.flow["image"].sum).backward()
    for layer in (
        decoder.latent_embedding.image.weight,
        decoder.latent_embedding.seen.weight,
        decoder.place_embedding.image.row,
        decoder.place_embedding.seen.row,
        decoder.latent_head.image.weight,
    ):
        assert layer.grad is not None
        assert layer.grad.any()


def test_an_earlier_view_is_read_by_the_stream_that_read_it_in_training(
    text: TextTokenizer, two: StreamTokenizers
) -> None:
    """The first view is context, those after it targets, as in an action video's training."""
    sampler = Sampler(Pretrained(decoder_of(text, two), text, two, ObjectiveSettings(), 160))
    views, step = [picture(0, False), picture(1, False)], "action: turn"
    settings = SamplingSettings(steps=2, guidance=1.0)
    [imagined] = next_view(sampler, [views], [[step, step]], settings=settings, seed=3)
    limits = settings.model_copy(update={"max_items": 1, "max_tokens": 0})
    prompt = (views[0], Text(step), picture(1, True), Text(step))
    [[expected]] = sampler.generate([Request(prompt, 3, opens=True)], limits)
    assert (imagined == expected.pixels()).all()
    as_context = (views[0], Text(step), picture(1, False), Text(step))
    [[other]] = sampler.generate([Request(as_context, 3, opens=True)], limits)
    assert (imagined != other.pixels()).any()


def test_a_saved_model_keeps_both(
    text: TextTokenizer, two: StreamTokenizers, tmp_path: Path
) -> None:
    two["seen"].measure([torch.rand(4, 3, 12, 12)], data="noise")
    Pretrained(decoder_of(text, two), text, two, ObjectiveSettings(), 96).save(tmp_path / "model")
    loaded = Pretrained.load(tmp_path / "model").tokenizers
    assert loaded.streams == two.streams
    assert loaded["seen"].statistics.data == "noise"
    for name, own in two.items():
        assert loaded[name].fingerprint == own.fingerprint


def recipe_of(folder: Path, tables: dict) -> dict:
    return {
        "name": "tiny",
        "streams": tables,
        "tokenizer": {"vocabulary_tokens": 270},
        "stream": {
            "sequence_length": 64,
            "batch_size": 2,
            "sources": {
                "pictures": {
                    "kind": "image_text",
                    "path": str(folder),
                    "held_out_fraction": 0.25,
                }
            },
        },
        "model": {"width": 16, "depth": 1, "query_heads": 2, "key_value_heads": 1},
        "training": {"steps": 4, "validation_batches": 1, "schedule": {"warmup_steps": 1}},
    }


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"seen": SEEN}, r"streams\.seen\.context_of = 'image' is no other stream; choose one of"),
        (TWO | {"seen": SEEN | {"context_of": "imgae"}}, r"= 'imgae' .*choose one of image"),
        (TWO | {"seen": {"kind": "rae", "path": "no-such"}}, r"\.path = 'no-such' is neither"),
        (TWO | {"seen": SEEN | {"patch_pixels": 5}}, r"patch_pixels = 5 does not divide"),
    ],
)
def test_settings_that_do_not_go_together(tables: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_feasible(parse_recipe(recipe_of(Path("pictures"), tables)))


def test_the_largest_grid_is_what_a_row_must_hold() -> None:
    recipe = parse_recipe(recipe_of(Path("pictures"), TWO))
    assert [shape.grid for shape in open_tokenizers(recipe).streams] == [(2, 2), (3, 3)]
    short = recipe.model_copy(
        update={"stream": recipe.stream.model_copy(update={"sequence_length": 12})}
    )
    with pytest.raises(UserError, match="9 latent tokens"):
        check_feasible(short)


@pytest.mark.slow
def test_a_run_from_a_recipe(picture_folder, tmp_path: Path) -> None:
    """Trained, saved, opened, and used in both directions."""
    pictures = [picture(number, True).pixels() for number in range(24)]
    folder = picture_folder(tmp_path / "pictures", pictures)
    recipe = parse_recipe(recipe_of(folder, TWO))
    train_run(recipe, tmp_path / "run", tell=lambda line: None)

    model = Pretrained.load(tmp_path / "run")
    assert list(model.tokenizers) == ["image", "seen"]
    for own in model.tokenizers.values():
        assert own.statistics.count > 0  # measured, each on pictures of its own size
    kept = json.loads((tmp_path / "run" / "model" / "config.json").read_text())
    assert kept["streams"]["seen"]["context_of"] == "image"
    requests = [
        Request((picture(0, False), Text("caption:"))),
        Request((Text("picture: number 3"),), opens=True),
    ]
    settings = SamplingSettings(steps=2, max_tokens=4)
    _, (image, *_) = Sampler(model).generate(requests, settings)
    assert image.pixels().shape == (8, 8, 3)
