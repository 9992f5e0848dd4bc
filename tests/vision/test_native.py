"""Pictures that keep their aspect ratios, from a folder of files to a drawn picture.

Beside the plain references: a document alone, the picture itself, the cropped setting.
"""

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage
from typer.testing import CliRunner

import chiasm
from chiasm.assembly import build_inputs, build_stream, check_feasible, open_material, train_run
from chiasm.cli import app
from chiasm.data.packing import pack_documents
from chiasm.data.tokenizer import TextTokenizer
from chiasm.documents import Document, Image, Text
from chiasm.errors import UserError
from chiasm.inference.history import lay_out
from chiasm.inference.passage import prompt_passage
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import Request, SamplingSettings
from chiasm.inference.sampler import Sampler
from chiasm.loop.metrics import read_metrics
from chiasm.loop.progress import StepReport
from chiasm.model.decoder import Decoder
from chiasm.model.settings import ModelSettings
from chiasm.recipe import Recipe, load_recipe, parse_recipe
from chiasm.rgb import fitted
from chiasm.tokenizers.settings import open_tokenizer
from chiasm.tokenizers.storage import load_tokenizer, save_tokenizer
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.training.losses import Counts
from chiasm.training.objective import Objective
from chiasm.training.settings import ObjectiveSettings
from chiasm.video.frame import VideoFrame
from chiasm.vision.cached.kept import keep_latents
from chiasm.vision.kinds import PixelSettings
from chiasm.vision.kl_autoencoder import Autoencoder
from chiasm.vision.settings import AutoencoderSettings

NATIVE = 'streams.image={kind="pixels", image_pixels=16, patch_pixels=4, shape="native"}'
SQUARE = 'streams.image={kind="pixels", image_pixels=16, patch_pixels=4}'
WIDE, TALL, BROAD, EVEN = (8, 32), (32, 8), (12, 20), (16, 16)
"""Sizes in pixels that need no scaling: their grids are these, in patches of 4."""


def tokenizer(shape: str = "native") -> Tokenizer:
    return open_tokenizer(PixelSettings(image_pixels=16, patch_pixels=4, shape=shape))


@pytest.fixture
def make_recipe(
    tmp_path: Path, tiny_recipe: Callable, picture_folder: Callable, noise_pictures: Callable
) -> Callable[..., Recipe]:
    """A recipe over 40 captioned pictures of these sizes in turn."""

    def make(*settings: str, sizes: tuple = (WIDE, TALL, BROAD, EVEN)) -> Recipe:
        pictures = picture_folder(tmp_path / "pictures", noise_pictures(40, *sizes))
        source = f"{{kind = 'image_text', path = '{pictures}', held_out_fraction = 0.3}}"
        given = (f"stream.sources={{pictures = {source}}}", "stream.batch_size=4", *settings)
        return load_recipe(tiny_recipe(tmp_path / "recipe.toml", *given))

    return make


def losses(folder: Path) -> list[tuple]:
    lines = read_metrics(folder / "metrics.jsonl")
    return [(line["phase"], line["loss"], line.get("flow_loss")) for line in lines]


# ---- reading


@pytest.mark.parametrize("size", [WIDE, TALL, BROAD, EVEN])
def test_a_picture_of_whole_patches_is_read_as_it_is(size, noise_pictures) -> None:
    [picture] = noise_pictures(1, size)
    own = tokenizer()
    item = own.read(picture)
    assert torch.equal(item, torch.from_numpy(picture).permute(2, 0, 1))
    grid = tuple(side // 4 for side in size)
    assert own.encoder.grid_of(picture) == grid
    [drawn] = own.decode(own.encode(item[None]), grid)
    assert torch.equal((drawn * 255).round().byte(), item)


def test_a_picture_is_never_stretched() -> None:
    """A disc stays one: its width and its height differ by a pixel at most."""
    y, x = np.mgrid[:60, :200]
    disc = ((y - 30) ** 2 + (x - 90) ** 2 < 24**2).astype(np.uint8)
    item = tokenizer().read(np.repeat(255 * disc[:, :, None], 3, axis=2))
    assert tuple(item.shape) == (3, 8, 28)
    seen = item[0].float() / 255
    assert abs(seen.max(0).values.sum() - seen.max(1).values.sum()) < 1


def test_a_square_picture_is_read_as_the_cropped_setting_reads_it(noise_pictures) -> None:
    for picture in noise_pictures(4, (16, 16), (40, 40), (7, 7), (129, 129)):
        assert torch.equal(tokenizer().read(picture), tokenizer("square").read(picture))


def test_the_grid_is_known_from_the_header(tmp_path: Path, noise_pictures) -> None:
    """Of a file that stands upright by its EXIF orientation alone, and of its content."""
    [picture] = noise_pictures(1, WIDE)
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    file = tmp_path / "turned.jpg"
    PillowImage.fromarray(picture).save(file, exif=exif)
    own = tokenizer()
    assert own.encoder.grid_of(file) == own.encoder.grid_of(file.read_bytes()) == (8, 2)
    assert tuple(own.read(file).shape) == (3, 32, 8)
    whole = file.read_bytes()
    file.write_bytes(whole[:-60])
    assert own.encoder.grid_of(file) == (8, 2)
    with pytest.raises(UserError, match="cannot be decoded"):
        own.read(file)


def test_frames_of_a_video_keep_theirs(tmp_path: Path, films) -> None:
    frame = VideoFrame(films.write(tmp_path / "film.mp4", 5), Fraction(1, 10))  # 64 x 96
    assert tokenizer().encoder.grid_of(frame) == (3, 5)
    assert tuple(tokenizer().read(frame).shape) == (3, 12, 20)


def test_items_of_no_grid_within_the_budget_are_refused() -> None:
    for size in ((20, 16), (16, 18), (0, 4)):
        with pytest.raises(UserError, match="takes pictures of shape"):
            tokenizer().encode(torch.zeros(1, 3, *size))


def test_a_folder_keeps_it(tmp_path: Path) -> None:
    own = tokenizer()
    save_tokenizer(own, tmp_path / "native")
    again = load_tokenizer(tmp_path / "native")
    assert again.varies
    assert again.fingerprint == own.fingerprint != tokenizer("square").fingerprint


# ---- batches


@pytest.fixture
def text() -> TextTokenizer:
    return TextTokenizer.train(["caption: a brick wall", "picture: water and grass"], 300)


@pytest.fixture
def streams() -> StreamTokenizers:
    return StreamTokenizers({"image": tokenizer()})


@pytest.fixture
def decoder(text: TextTokenizer, streams: StreamTokenizers) -> Decoder:
    """With weights large enough that every input matters."""
    settings = ModelSettings(width=32, depth=2, query_heads=4, key_value_heads=2)
    own = Decoder(settings, vocabulary=text.vocabulary_size, streams=streams.streams)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in own.parameters():
            parameter.add_(0.15 * torch.randn(parameter.shape, generator=generator))
    return own


@pytest.fixture
def documents(noise_pictures) -> list[Document]:
    wide, tall, broad, even = noise_pictures(4, WIDE, TALL, BROAD, EVEN)
    return [
        Document((Image(wide, target=False), Text("caption: a wall"))),
        Document((Text("picture: grass"), Image(tall, target=True))),
        Document((Image(broad, target=True), Text("and"), Image(even, target=True))),
    ]


def graded(decoder, text, streams, documents, times, noise, counts):
    """Loss of packed documents, and its gradients."""
    batch = pack_documents(documents, text, streams, 64)
    batch.validate()
    objective = Objective(ObjectiveSettings(shift=2.0))
    found = objective.losses(decoder, batch, streams.encode(batch.slots), 0, times, noise)
    decoder.zero_grad()
    total = objective.total(found, counts or Counts.of([batch]))
    total.backward()
    grads = {name: own.grad.clone() for name, own in decoder.named_parameters()}
    return batch, total.detach(), grads


def test_documents_beside_others_have_loss_and_gradients_of_those_alone(
    decoder, text, streams, documents
) -> None:
    times = torch.tensor([1.0, 0.3, 0.6, 0.8])
    noise = torch.randn(16 + 16 + 15 + 16, 48, generator=torch.Generator().manual_seed(1))
    given = {"image": times}, {"image": noise}
    whole, together, grads = graded(decoder, text, streams, documents, *given, None)
    assert whole.num_rows == 2
    assert whole.slots["image"].grid_NA.tolist() == [[2, 8], [8, 2], [3, 5], [4, 4]]
    alone, summed = torch.zeros(()), {name: torch.zeros_like(own) for name, own in grads.items()}
    for document, items, latents in zip(
        documents, (slice(0, 1), slice(1, 2), slice(2, 4)), noise.split([16, 16, 31]), strict=True
    ):
        own = {"image": times[items]}, {"image": latents}
        _, loss, its = graded(decoder, text, streams, [document], *own, Counts.of([whole]))
        alone += loss
        summed = {name: before + its[name] for name, before in summed.items()}
    torch.testing.assert_close(together, alone)
    for name, own in grads.items():
        torch.testing.assert_close(own, summed[name], atol=1e-5, rtol=1e-4, msg=name)


def test_every_token_of_an_item_sees_all_of_it_and_knows_its_place(
    text, streams, documents
) -> None:
    batch = pack_documents(documents[1:2], text, streams, 64)
    slots = batch.slots["image"]
    assert slots.place_LA.tolist() == [[row, column] for row in range(8) for column in range(2)]
    begin, end = int(slots.start_N[0]), int(slots.start_N[0]) + 16
    assert batch.last_BT[0, begin:end].tolist() == [end - 1] * 16
    assert batch.first_BT[0, begin:end].tolist() == [0] * 16


def test_the_model_tells_grids_of_equal_number_apart(decoder, text, streams) -> None:
    """16 tokens in two columns are not the same tokens in eight, or four."""
    pixels = np.random.default_rng(0).integers(0, 256, (16, 4, 4, 3), np.uint8)
    seen = []
    for rows, columns in ((8, 2), (2, 8), (4, 4)):
        of_grid = pixels.reshape(rows, columns, 4, 4, 3).transpose(0, 2, 1, 3, 4)
        spans = (Image(of_grid.reshape(4 * rows, 4 * columns, 3), target=False), Text("caption:"))
        passage = prompt_passage(spans, text, streams)
        latents = streams.encode_spans([spans[0]], torch.device("cpu"))
        reading = lay_out(decoder, [passage], latents, 1.0, [0], cache=None)
        seen.append((latents["image"], decoder(reading.inputs, reading.mask)[0, -1].detach()))
    (first, hidden), *others = seen
    for latents, other in others:
        assert torch.equal(latents, first)
        assert not torch.allclose(other, hidden, atol=1e-2)


# ---- a run


@pytest.mark.slow
def test_squares_train_to_the_bit_as_cropped_ones(make_recipe, tmp_path: Path) -> None:
    for name, streams in (("native", NATIVE), ("square", SQUARE)):
        recipe = make_recipe(streams, sizes=((16, 16), (24, 24)))
        train_run(recipe, tmp_path / name, tell=lambda line: None)
    assert losses(tmp_path / "native") == losses(tmp_path / "square")


class Killed(Exception):
    """Ends a run as if it were killed."""


@pytest.mark.slow
def test_a_run_goes_on_exactly_and_draws_what_is_asked(make_recipe, tmp_path: Path) -> None:
    recipe = make_recipe(NATIVE)
    train_run(recipe, tmp_path / "whole", tell=lambda line: None)

    def kill(report: StepReport) -> None:
        if report.step == 7:
            raise Killed

    with pytest.raises(Killed):
        train_run(recipe, tmp_path / "run", tell=lambda line: None, on_step=kill)
    told: list[str] = []
    train_run(recipe, tmp_path / "run", tell=told.append)
    assert "going on from step 5 of" in " ".join(told)
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")

    words = ("--prompt", "picture: number 3", "--draw", "--max-tokens", "0", "--solver-steps", "2")
    for aspect, size in (
        ((), (16, 16)),
        (("--aspect", "4"), (32, 8)),
        (("--aspect", ".6"), (12, 20)),
    ):
        out = tmp_path / f"drawn{len(aspect)}{size[0]}"
        arguments = ["sample", str(tmp_path / "run"), *words, *aspect, "--out", str(out)]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
        with PillowImage.open(out / "seed-0-image-1.png") as picture:
            assert picture.size == size
    model = chiasm.load(tmp_path / "run")
    assert model.draw("number 3", aspect=4, steps=2).size == (32, 8)


@pytest.mark.slow
def test_what_a_picture_shows_is_learned(
    tmp_path: Path, tiny_recipe: Callable, picture_folder: Callable
) -> None:
    """Pictures of one color each, named by their captions: noise is predicted from them."""
    colors = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (30, 60, 220)}
    words, drawn = list(colors), np.random.default_rng(0)
    pictures = [
        np.clip(
            np.full((*((WIDE, TALL, BROAD)[n % 3]), 3), colors[words[n // 3 % 3]])
            + drawn.normal(0, 25, 3),
            0,
            255,
        ).astype(np.uint8)
        for n in range(90)
    ]
    folder = picture_folder(tmp_path / "colors", pictures, lambda n: {"text": words[n // 3 % 3]})
    settings = (
        NATIVE,
        f"stream.sources={{colors = {{kind = 'image_text', path = '{folder}'}}}}",
        "stream.batch_size=8",
        "stream.sequence_length=48",
        "training.steps=60",
        "model.width=32",
        "training.optimizer.learning_rate=1e-2",
    )
    recipe = load_recipe(tiny_recipe(tmp_path / "recipe.toml", *settings))
    train_run(recipe, tmp_path / "run", tell=lambda line: None)
    flow = [loss for phase, _, loss in losses(tmp_path / "run") if phase == "train"]
    assert np.mean(flow[-10:]) < 0.5 * np.mean(flow[:5])


def test_what_follows_a_picture_has_its_grid(decoder, text, streams, documents) -> None:
    """Unless another one is asked for; a request's result does not depend on those beside it."""
    decoder.eval().requires_grad_(False)
    model = Pretrained(decoder, text, streams, ObjectiveSettings(shift=2.0).flow, 96)
    prompts = [(), documents[0].spans, (*documents[2].spans, Text("and"))]
    requests = [Request(spans, seed, opens=True) for seed, spans in enumerate(prompts)]
    settings = SamplingSettings(steps=2, max_tokens=0, temperature=0)
    drawn = [spans[0].pixels() for spans in Sampler(model).generate(requests, settings)]
    assert [picture.shape[:2] for picture in drawn] == [(16, 16), WIDE, EVEN]
    for request, picture in zip(requests, drawn, strict=True):
        [[alone]] = Sampler(model).generate([request], settings)
        assert np.abs(alone.pixels().astype(int) - picture).max() <= 1
    tall = settings.model_copy(update={"aspect": 0.25})
    for [span] in Sampler(model).generate(requests, tall):
        assert span.pixels().shape[:2] == TALL


def test_data_inspect_and_stats_show_each_in_its_shape(make_recipe, tmp_path: Path) -> None:
    make_recipe(NATIVE)
    given, out = str(tmp_path / "recipe.toml"), str(tmp_path / "row.png")
    result = CliRunner().invoke(app, ["data", "inspect", given, "--out", out])
    assert result.exit_code == 0, result.output
    assert any(grid in result.output for grid in ("2 × 8", "8 × 2", "3 × 5", "4 × 4"))
    page = tmp_path / "data.html"
    result = CliRunner().invoke(app, ["data", "stats", given, "--out", str(page)])
    assert result.exit_code == 0, result.output
    read = json.loads(page.with_suffix(".json").read_text())["read"]
    assert sum(own["items"]["image"] for own in read.values()) == 80
    # 10 pictures of each size, in two documents each, between marks.
    assert sum(own["positions"]["image"] for own in read.values()) == 20 * (16 + 16 + 15 + 16 + 8)


# ---- what is refused, and what is skipped


def test_a_file_that_is_no_picture_is_skipped_and_counted(make_recipe, tmp_path: Path) -> None:
    """Its size is not known when it is packed: its positions become padding."""
    recipe = make_recipe(NATIVE, "stream.lanes=1")
    (tmp_path / "pictures" / "3.png").write_bytes(b"no picture")
    material = open_material(recipe, tmp_path)
    stream = build_stream(recipe, material.train, build_inputs(recipe, material.train), 0)
    try:
        for _ in range(20):
            next(stream).validate()
        report = stream.report()
    finally:
        stream.close()
    assert sum(report.skipped.values()) == sum(report.broken.values())
    assert all("3.png" in note for note in report.notes if "skipped" in note)


@pytest.mark.parametrize(
    ("streams", "says"),
    [
        ('{shape="native"}', r"image\.shape = 'native', but the tokenizer .* squares of one size"),
        (
            '{kind="pixels", image_pixels=16, shape="native", latents="there"}',
            r"image\.shape = 'native' does not go with streams\.image\.latents",
        ),
        ('{kind="pixels", shape="tall"}', r"streams\.image\.shape"),
    ],
)
def test_what_takes_squares_alone_is_refused_at_the_start(make_recipe, streams, says) -> None:
    with pytest.raises(UserError, match=says):
        check_feasible(make_recipe(f"streams.image={streams}"))


@pytest.mark.parametrize("verb", ["stats", "encode"])
def test_latents_are_not_made_ahead(make_recipe, tmp_path: Path, verb: str) -> None:
    make_recipe(NATIVE)
    arguments = ["vision", verb, str(tmp_path / "recipe.toml"), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, UserError)
    says = f"streams.image.shape = 'native', but chiasm vision {verb} takes pictures of one shape"
    assert says in str(result.exception)


def test_latents_do_not_keep_themselves(tmp_path: Path) -> None:
    autoencoder = Autoencoder(AutoencoderSettings(image_pixels=32, channels=2, width=8))
    own, told = Tokenizer("vae", autoencoder, autoencoder), []
    own.vary()
    assert not keep_latents({"image": own}, torch.device("cpu"), tmp_path, 10**6, told.append)
    assert len(told) == 1
    assert told[0].startswith("streams.image: its pictures are encoded in every step")


def test_walks_are_refused(tmp_path: Path) -> None:
    recipe = parse_recipe(
        {
            "name": "walks",
            "streams": {"image": {"kind": "pixels", "image_pixels": 64, "shape": "native"}},
            "world": {"train_maps": 1, "held_out_maps": 1, "views_per_map": 2},
            "tokenizer": {"vocabulary_tokens": 280},
            "stream": {
                "sequence_length": 512,
                "sources": {"walks": {"kind": "world", "task": "action_video"}},
            },
        }
    )
    material = open_material(recipe, tmp_path)
    inputs = build_inputs(recipe, material.train)
    says = r"image\.shape = 'native', but stream\.sources\.walks, a source of walks, takes"
    with pytest.raises(UserError, match=says):
        build_stream(recipe, material.train, inputs, 0)


def test_an_aspect_is_refused_of_a_model_of_squares(world_model: Pretrained) -> None:
    with pytest.raises(UserError, match=r"aspect = 2\.0, but all items of this model have one"):
        Sampler(world_model).generate([Request((), opens=True)], SamplingSettings(aspect=2))


def test_what_is_cut_off_is_less_than_what_a_square_loses(noise_pictures) -> None:
    """The middle of a picture is what both show; the native one shows more beside it."""
    [picture] = noise_pictures(1, (60, 100))
    seen = tokenizer().read(picture)
    assert tuple(seen.shape) == (3, 12, 20)
    assert np.array_equal(seen.permute(1, 2, 0).numpy(), fitted(picture, 12, 20))
