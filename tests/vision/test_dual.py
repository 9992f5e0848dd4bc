"""One tokenizer for pictures that are seen and one for those that are drawn."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from chiasm.assembly import train_run
from chiasm.batch.packed import ImageShape, PackedBatch
from chiasm.data.packing import pack_documents
from chiasm.data.tokenizer import TextTokenizer
from chiasm.documents import Document, Image, Text
from chiasm.errors import UserError
from chiasm.flow import FlowSettings
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import Request, SamplingSettings
from chiasm.inference.sampler import Sampler
from chiasm.inference.tasks import next_view
from chiasm.model import Decoder, ModelSettings
from chiasm.recipe import check_images, parse_recipe
from chiasm.training.objective import Objective, ObjectiveSettings
from chiasm.vision.build import build_vision_tokenizer
from chiasm.vision.dual import DualTokenizer
from chiasm.vision.pixels import PixelTokenizer
from chiasm.vision.storage import load_tokenizer, save_tokenizer
from chiasm.vision.tokenizer import encode_images

TARGET = {"kind": "pixels", "image_pixels": 8, "patch_pixels": 4}
CONTEXT = {"kind": "pixels", "image_pixels": 12, "patch_pixels": 4}
DUAL = {"kind": "dual", "target": TARGET, "context": CONTEXT}
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


@pytest.fixture
def dual() -> DualTokenizer:
    """Targets of 2 x 2 tokens of 48 channels, context of 6 x 6 tokens of 12."""
    return DualTokenizer(target=PixelTokenizer(8, 4), context=PixelTokenizer(12, 2))


def packed(text: TextTokenizer, vision: PixelTokenizer | DualTokenizer) -> PackedBatch:
    return pack_documents(DOCUMENTS, text, vision.shapes, 96)


def decoder_of(text: TextTokenizer, vision: PixelTokenizer | DualTokenizer) -> Decoder:
    """With weights large enough that every input matters."""
    decoder = Decoder(
        ModelSettings(**SHAPE),
        vocabulary=text.vocabulary_size,
        latent_channels=vision.channels,
        context_channels=vision.context_channels,
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in sorted(decoder.named_parameters()):
            if name != "context_embedding.weight":
                parameter.add_(0.15 * torch.randn(parameter.shape, generator=generator))
    return decoder


def test_each_part_reads_its_pictures(text: TextTokenizer, dual: DualTokenizer) -> None:
    batch = packed(text, dual)
    batch.validate()
    slots = batch.images
    assert sorted(slots.grid_N2.tolist()) == [[2, 2]] * 4 + [[6, 6]] * 2
    latents = encode_images(dual, slots)
    z_LC, context_UA = latents.z_LC, latents.context_UA
    assert context_UA is not None
    targets = [p for p, target in zip(slots.pixels, slots.target_N, strict=True) if target]
    seen = [p for p, target in zip(slots.pixels, slots.target_N, strict=True) if not target]
    torch.testing.assert_close(
        z_LC[slots.target_G], dual.target.encode(torch.stack(targets)).flatten(0, 1)
    )
    assert not z_LC[slots.context_U].any()
    torch.testing.assert_close(context_UA, dual.context.encode(torch.stack(seen)).flatten(0, 1))


def test_a_pair_of_equal_tokenizers_is_one_tokenizer(text: TextTokenizer) -> None:
    """Where both parts and both linear layers are the same, so are losses and continuations."""
    one = PixelTokenizer(8, 4)
    pair = DualTokenizer(target=PixelTokenizer(8, 4), context=PixelTokenizer(8, 4))
    decoders = decoder_of(text, one), decoder_of(text, pair)
    with torch.no_grad():
        decoders[1].context_embedding.weight.copy_(decoders[0].latent_embedding.weight)
    objective = Objective(ObjectiveSettings())
    losses = [
        objective.losses(
            decoder,
            packed(text, vision),
            encode_images(vision, packed(text, vision).images),
            seed=0,
        )
        for decoder, vision in zip(decoders, (one, pair), strict=True)
    ]
    torch.testing.assert_close(losses[0].text_sum_S, losses[1].text_sum_S)
    torch.testing.assert_close(losses[0].flow_sum_bins, losses[1].flow_sum_bins)

    request = Request((picture(7, False), Text("video:"), picture(8, True)), 3, opens_image=True)
    quick = SamplingSettings(steps=2, max_tokens=8, temperature=0)
    drawn = [
        Sampler(Pretrained(decoder, text, vision, FlowSettings(), 96)).generate([request], quick)[0]
        for decoder, vision in zip(decoders, (one, pair), strict=True)
    ]
    assert (drawn[0][0].pixels() == drawn[1][0].pixels()).all()
    assert drawn[0][1:] == drawn[1][1:]


def test_both_ways_in_learn(text: TextTokenizer, dual: DualTokenizer) -> None:
    batch, decoder = packed(text, dual), decoder_of(text, dual)
    latents = encode_images(dual, batch.images)
    losses = Objective(ObjectiveSettings()).losses(decoder, batch, latents, seed=0)
    (losses.text_sum + losses.flow_sum).backward()
    for layer in (decoder.latent_embedding, decoder.context_embedding, decoder.latent_head):
        assert layer.weight.grad is not None
        assert layer.weight.grad.any()


def test_an_earlier_view_is_read_by_the_part_that_it_played(
    text: TextTokenizer, dual: DualTokenizer
) -> None:
    """The first view is context, those after it targets, as in an action video's training."""
    sampler = Sampler(Pretrained(decoder_of(text, dual), text, dual, FlowSettings(), 160))
    views, step = [picture(0, False), picture(1, False)], "action: turn"
    settings = SamplingSettings(steps=2, guidance=1.0)
    [imagined] = next_view(sampler, [views], [[step, step]], settings=settings, seed=3)
    limits = settings.model_copy(update={"max_images": 1, "max_tokens": 0})
    prompt = (views[0], Text(step), picture(1, True), Text(step))
    [[expected]] = sampler.generate([Request(prompt, 3, opens_image=True)], limits)
    assert (imagined == expected.pixels()).all()


def test_a_folder_keeps_both(dual: DualTokenizer, tmp_path: Path) -> None:
    dual.context.measure([torch.rand(4, 3, 12, 12)], data="noise")
    save_tokenizer(dual, tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert loaded.fingerprint == dual.fingerprint
    assert loaded.context is not None
    assert loaded.context.statistics.data == "noise"
    dual.context.measure([torch.rand(4, 3, 12, 12)], data="more noise")
    assert loaded.fingerprint != dual.fingerprint  # of either part


@pytest.mark.parametrize(
    ("vision", "message"),
    [
        ({"kind": "dual", "target": TARGET}, "needs a tokenizer for context"),
        ({"kind": "dual"}, "for context and one for target"),
        ({"kind": "pixels", "context": CONTEXT}, "context is a setting of kind = 'dual'"),
        (DUAL | {"path": "somewhere"}, "path belongs to one tokenizer"),
        (DUAL | {"statistics": "file.json"}, "statistics belongs to one tokenizer"),
        (DUAL | {"context": DUAL}, "streams.image.context"),
    ],
)
def test_settings_that_do_not_go_together(vision: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_recipe(recipe_of(Path("pictures"), vision))


def test_a_missing_part_is_named() -> None:
    settings = parse_recipe(
        recipe_of(Path("pictures"), DUAL | {"context": {"kind": "rae", "path": "no-such"}})
    ).streams["image"]
    with pytest.raises(UserError, match=r"streams\.image\.context\.path = 'no-such' is neither"):
        build_vision_tokenizer(settings)


def test_the_larger_grid_is_what_a_row_must_hold() -> None:
    recipe = parse_recipe(recipe_of(Path("pictures"), DUAL | {"context": CONTEXT}))
    shapes = build_vision_tokenizer(recipe.streams["image"]).shapes
    assert shapes.of(True) == ImageShape(8, 8, 2, 2)
    assert shapes.of(False) == ImageShape(12, 12, 3, 3)
    short = recipe.model_copy(
        update={"stream": recipe.stream.model_copy(update={"row_positions": 12})}
    )
    with pytest.raises(UserError, match="9 latent tokens"):
        check_images(short, shapes)


def recipe_of(folder: Path, vision: dict) -> dict:
    return {
        "name": "tiny",
        "streams": {"image": vision},
        "tokenizer": {"vocabulary_tokens": 270},
        "stream": {
            "row_positions": 64,
            "rows_per_batch": 2,
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


def test_a_run_from_a_recipe(tmp_path: Path) -> None:
    """Trained, saved, opened, and used in both directions."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    rows = []
    for number in range(24):
        PillowImage.fromarray(picture(number, True).pixels()).save(folder / f"{number}.png")
        rows.append({"file_name": f"{number}.png", "text": f"number {number}"})
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = parse_recipe(recipe_of(folder, DUAL))
    assert train_run(recipe, tmp_path / "run", tell=lambda line: None).finished

    model = Pretrained.load(tmp_path / "run")
    assert model.decoder.context_channels == model.vision_tokenizer.context_channels == 48
    for part in model.vision_tokenizer.parts:
        assert part.statistics.count > 0  # measured, each on pictures of its own size
    kept = json.loads((tmp_path / "run" / "model" / "config.json").read_text())
    assert kept["context_channels"] == 48
    requests = [
        Request((picture(0, False), Text("caption:"))),
        Request((Text("picture: number 3"),), opens_image=True),
    ]
    settings = SamplingSettings(steps=2, max_tokens=4)
    _, (image, *_) = Sampler(model).generate(requests, settings)
    assert image.pixels().shape == (8, 8, 3)
