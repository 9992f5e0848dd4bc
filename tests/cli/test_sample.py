"""``chiasm sample`` from a saved model: text on the terminal, pictures in files."""

from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image as PillowImage
from typer.testing import CliRunner, Result

from chiasm.cli.sample import prompt_spans, sample
from chiasm.data.tokenizer import TextTokenizer
from chiasm.documents import Image, Text
from chiasm.errors import UserError
from chiasm.flow import FlowSettings
from chiasm.inference.pretrained import Pretrained
from chiasm.model import Decoder, ModelSettings
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.vision.pixels import pixel_tokenizer


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    text = TextTokenizer.train(["a brick wall"], 270)
    tokenizers = StreamTokenizers({"image": pixel_tokenizer(8, 4)})
    shape = ModelSettings(width=16, depth=1, query_heads=2, key_value_heads=1)
    decoder = Decoder(
        shape, vocabulary=text.vocabulary_size, streams=tokenizers.streams
    ).requires_grad_(False)
    folder = tmp_path_factory.mktemp("run") / "model"
    Pretrained(decoder, text, tokenizers, FlowSettings(), context_positions=64).save(folder)
    return folder


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "view.png"
    PillowImage.fromarray(np.full((10, 12, 3), 90, dtype=np.uint8)).save(path)
    return path


def invoke(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(sample)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_pictures_are_written_and_their_paths_printed(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "pictures"
    result = invoke(
        *(model, "--prompt", "picture: a wall", "--draw", "--max-tokens", 0),
        *("--steps", 2, "--out", out, "--seed", 4),
    )
    assert result.exit_code == 0, result.output
    path = out / "seed-4-image-1.png"
    assert result.stdout == f"{path}\n"
    with PillowImage.open(path) as picture:
        assert picture.size == (8, 8)


def test_a_picture_never_takes_the_place_of_another(model: Path, tmp_path: Path) -> None:
    arguments = (model, "--prompt", "x", "--draw", "--max-tokens", 0, "--steps", 1)
    first = Path(invoke(*arguments, "--out", tmp_path).stdout.strip())
    before = first.read_bytes()
    second = Path(invoke(*arguments, "--image", first, "--out", tmp_path).stdout.strip())
    assert second != first
    assert first.read_bytes() == before


def test_text_is_the_same_for_the_same_seed(model: Path, file: Path, tmp_path: Path) -> None:
    arguments = (model, "--image", file, "--prompt", "caption:", "--max-items", 0)
    first, again, other = (
        invoke(*arguments, "--seed", seed, "--max-tokens", 15).stdout for seed in (1, 1, 2)
    )
    assert first == again != other
    assert first


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--prompt", "k" * 100), "takes 101 positions"),
        (("--image", "missing.png"), "missing.png does not exist"),
        (("--prompt", "<image> and <image>"), "2 times <image> but there are 0"),
        (("--draw", "--guidance", "inf"), "--guidance inf: give 1 (none) to 20"),
        (("--draw", "--max-items", 0), "max_items = 0"),
    ],
)
def test_mistakes_are_told(model: Path, arguments: tuple[object, ...], message: str) -> None:
    result = invoke(model, *arguments)
    assert isinstance(result.exception, UserError)
    assert message in str(result.exception)


def test_a_missing_model_and_a_file_as_folder_are_told(model: Path, file: Path) -> None:
    assert "does not exist" in str(invoke("./nowhere").exception)
    assert "is a file" in str(invoke(model, "--out", file).exception)


def test_marks_say_where_images_stand(file: Path) -> None:
    kinds = [type(span) for span in prompt_spans("action: a<image>action: b", [file])]
    assert kinds == [Text, Image, Text]
    assert [type(span) for span in prompt_spans("caption:", [file, file])] == [Image, Image, Text]
    assert prompt_spans("", []) == ()
