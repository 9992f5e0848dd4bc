"""What tests of latents that were encoded ahead share: pictures, their latents, comparisons."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from chiasm.assembly import build_inputs, build_run, open_gallery, open_material
from chiasm.documents import Split
from chiasm.recipe import Recipe, load_recipe
from chiasm.tokenizers.settings import open_tokenizer
from chiasm.vision.cached.encoding import Encoding
from chiasm.vision.cached.gallery import Gallery
from chiasm.vision.cached.shards import Manifest

CPU = torch.device("cpu")
PICTURES = 40
BROKEN = 3

RECIPE = """
name = "tiny"

[streams.image]
kind = "pixels"
image_pixels = 16
patch_pixels = 8

[tokenizer]
vocabulary_tokens = 280

[stream]
sequence_length = 48
batch_size = 4

[stream.sources.pictures]
kind = "image_text"
path = "{folder}/pictures"
held_out_fraction = 0.2

[stream.sources.questions]
kind = "vqa"
path = "{folder}/pictures"
held_out_fraction = 0.2

[model]
width = 16
depth = 1
query_heads = 2
key_value_heads = 1

[training]
steps = 8
validation_batches = 2

[training.schedule]
warmup_steps = 2
"""

StepLosses = list[tuple[float, float, float]]


def losses_of_training(recipe: Recipe) -> StepLosses:
    """Loss, text loss and flow loss of each step, and of the validation after them."""
    material = open_material(recipe)
    run = build_run(recipe, material, build_inputs(recipe, material.train), lambda line: None)
    try:
        found = [run.trainer.step().values for _ in range(recipe.training.steps)]
    finally:
        run.stream.close()
    validation = run.trainer.validation
    assert validation is not None
    found.append(validation.run(run.trainer.decoder, run.trainer.objective))
    return [(v["loss"], v["text_loss"], v.get("flow_loss", 0.0)) for v in found]


def bytes_of_files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def encode_pictures(recipe: Recipe, gallery: Gallery, folder: Path, **options: object) -> Manifest:
    tokenizer = open_tokenizer(recipe.streams["image"])
    options = {"shard_pictures": 9} | options
    return Encoding(gallery, tokenizer, folder, **options).run(CPU)  # type: ignore[arg-type]


def reading_latents(recipe: Recipe, folder: Path, **settings: object) -> Recipe:
    """The recipe with these latents, and other settings of its vision tokenizer."""
    given = {} if "kind" in settings else recipe.streams["image"].model_dump()
    vision = {**given, "latents": str(folder), **settings}
    return recipe.model_validate({**recipe.model_dump(), "streams": {"image": vision}})


@pytest.fixture(scope="session")
def recipe_path(picture_folder, noise_pictures, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of several sizes, two sources that share them, and one file that is cut off."""
    folder = tmp_path_factory.mktemp("data")
    pictures = picture_folder(
        folder / "pictures",
        noise_pictures(PICTURES, (16, 16), (17, 16), (18, 16)),
        lambda n: {"text": f"number {n}", "question": f"which is {n}?", "answer": str(n)},
    )
    whole = (pictures / f"{BROKEN}.png").read_bytes()
    (pictures / f"{BROKEN}.png").write_bytes(whole[: len(whole) // 2])
    path = folder / "tiny.toml"
    path.write_text(RECIPE.format(folder=folder))
    return path


@pytest.fixture(scope="session")
def recipe(recipe_path: Path) -> Recipe:
    return load_recipe(recipe_path)


@pytest.fixture(scope="session")
def gallery(recipe: Recipe) -> Gallery:
    return open_gallery(recipe, *Split)


@pytest.fixture(scope="session")
def encoded(recipe: Recipe, gallery: Gallery, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoded") / "latents"
    encode_pictures(recipe, gallery, folder)
    return folder


@pytest.fixture
def copy(encoded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(encoded, tmp_path / "copy"))


@pytest.fixture(scope="session")
def all_losses() -> Callable[[Recipe], StepLosses]:
    return losses_of_training


@pytest.fixture(scope="session")
def content() -> Callable[[Path], dict[str, bytes]]:
    return bytes_of_files


@pytest.fixture(scope="session")
def encode() -> Callable[..., Manifest]:
    return encode_pictures


@pytest.fixture(scope="session")
def reading() -> Callable[..., Recipe]:
    return reading_latents
