"""``chiasm sample`` from a saved model: text on the terminal, pictures in files."""

from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from PIL import Image as PillowImage
from typer.testing import CliRunner, Result

from chiasm.batch.streams import Streams, StreamShape
from chiasm.cli.sample import drawn_stream, prompt_spans, sample
from chiasm.data.tokenizer import TextTokenizer
from chiasm.documents import Continuous, Image, Text
from chiasm.errors import UserError
from chiasm.flow import FlowSettings
from chiasm.inference.pretrained import Pretrained
from chiasm.model.decoder import Decoder
from chiasm.model.settings import ModelSettings
from chiasm.sound.mel import mel_tokenizer
from chiasm.sound.settings import MelShape
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.vision.pixels import pixel_tokenizer
from chiasm.waveform import Waveform, decoded


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


@pytest.fixture(scope="module")
def film_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As ``model``, with a stream of sounds of a tenth of a second."""
    text = TextTokenizer.train(["video:"], 270, streams=["sound"])
    sounds = mel_tokenizer(MelShape(rate=8000, seconds=0.1, hop_samples=100, mels=16))
    sounds.measure([torch.randn(8, 1, 800) * 0.1], data="noise")
    tokenizers = StreamTokenizers({"image": pixel_tokenizer(8, 4), "sound": sounds})
    shape = ModelSettings(width=16, depth=1, query_heads=2, key_value_heads=1)
    decoder = Decoder(shape, vocabulary=text.vocabulary_size, streams=tokenizers.streams)
    folder = tmp_path_factory.mktemp("film") / "model"
    own = decoder.requires_grad_(False), text, tokenizers, FlowSettings()
    Pretrained(*own, context_positions=64).save(folder)
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
        *("--solver-steps", 2, "--out", out, "--seed", 4),
    )
    assert result.exit_code == 0, result.output
    path = out / "seed-4-image-1.png"
    assert result.output == f"{path}\n"  # no tokens were asked for: that they end is no news
    with PillowImage.open(path) as picture:
        assert picture.size == (8, 8)


def test_a_picture_never_takes_the_place_of_another(model: Path, tmp_path: Path) -> None:
    arguments = (model, "--prompt", "x", "--draw", "--max-tokens", 0, "--solver-steps", 1)
    first = Path(invoke(*arguments, "--out", tmp_path).stdout.strip())
    before = first.read_bytes()
    second = Path(invoke(*arguments, "--image", first, "--out", tmp_path).stdout.strip())
    assert second != first
    assert first.read_bytes() == before


def test_a_film_goes_on_with_what_is_heard_and_with_what_is_seen_then(
    film_model: Path, file: Path, tmp_path: Path
) -> None:
    rest = ("--max-tokens", 0, "--solver-steps", 1, "--guidance", 1, "--out", tmp_path / "film")
    first = ("--image", file, "--prompt", "video:<image>", "--draw-stream", "sound")
    heard = invoke(film_model, *first, *rest)
    assert heard.exit_code == 0, heard.output
    sound = Path(heard.stdout.strip())
    assert sound.name == "seed-0-sound-1.wav"
    assert decoded(sound, 8000).shape == (1, 800)
    both = ("--image", file, "--item", f"sound={sound}", "--prompt", "video:<image><sound>")
    seen = invoke(film_model, *both, "--draw", *rest)
    assert Path(seen.stdout.strip()).name == "seed-0-image-1.png"


def test_a_sound_that_is_too_long_is_told_without_advice_on_training(
    film_model: Path, tmp_path: Path
) -> None:
    long = tmp_path / "long.wav"
    Waveform(np.zeros((1, 2000), np.float32), 8000).save(long)
    error = invoke(film_model, "--item", f"sound={long}", "--prompt", "caption:").exception
    assert isinstance(error, UserError)
    assert str(error).startswith(f"--item sound={long}: streams.sound: ")
    assert "has 0.25 seconds, more than the 0.1 of an item; give another one, or a" in str(error)
    assert "clip_seconds" not in str(error)


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
        (("--prompt", "<image> and <image>"), "2 of <image> and --image stands 0"),
        (("--draw", "--guidance", "inf"), "--guidance inf: give a number ≥ 1.0 and ≤ 20.0"),
        (("--draw", "--aspect", 100), "--aspect 100: give a number ≥ 0.125 and ≤ 8.0"),
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


def test_marks_say_where_items_stand(file: Path) -> None:
    image = Image(file, target=False)
    kinds = [type(span) for span in prompt_spans("action: a<image>action: b", [image])]
    assert kinds == [Text, Image, Text]
    assert [type(span) for span in prompt_spans("caption:", [image, image])] == [Image, Image, Text]
    assert prompt_spans("", []) == ()
    first, second = (Continuous(np.full(16, k), target=False, stream="series") for k in (0, 1))
    mixed = prompt_spans("a<series><image>b<series>", [image, first, second])
    assert mixed == (Text("a"), first, image, Text("b"), second)
    assert prompt_spans("a<series>", []) == (Text("a<series>"),)  # no word of this prompt's
    with pytest.raises(UserError, match=r"1 of <series> and --item series=... stands 2"):
        prompt_spans("a<series>", [first, second])
    with pytest.raises(UserError, match=r"0 of <series> and --item series=... stands 1"):
        prompt_spans("a<image>", [first, image])


def test_an_item_is_read_from_an_array_or_a_picture(model: Path, file: Path, tmp_path: Path):
    array = tmp_path / "view.npy"
    with PillowImage.open(file) as picture:
        np.save(array, np.asarray(picture))
    rest = ("--prompt", "caption:", "--max-items", 0, "--max-tokens", 15)
    texts = [
        invoke(model, option, value, *rest).stdout
        for option, value in (
            ("--image", file),
            ("--item", f"image={file}"),
            ("--item", f"image={array}"),
        )
    ]
    assert texts[0] == texts[1] == texts[2] != ""


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("view.npy", "--item view.npy: write STREAM=FILE"),
        ("=view.npy", "write STREAM=FILE"),
        ("series=gone.npy", "--item series=gone.npy does not exist"),
        ("series=text.npy", "text.npy holds no NumPy array of numbers: "),
        ("series=objects.npy", "objects.npy holds no NumPy array of numbers: "),
        (
            "series=text.txt",
            "no picture of a known format; give a picture, a sound, or a .npy file",
        ),
    ],
)
def test_mistakes_with_items_are_told_before_a_model_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("text.npy", "text.txt"):
        Path(name).write_text("1 2 3")
    np.save("objects.npy", np.array([{}], dtype=object))
    error = invoke("nowhere", "--item", option).exception
    assert isinstance(error, UserError)
    assert message in str(error)


def test_streams_that_are_not_there_are_told(model: Path, file: Path) -> None:
    for arguments in (("--item", f"series={file}"), ("--draw-stream", "series")):
        error = invoke(model, *arguments).exception
        assert isinstance(error, UserError)
        assert "no stream 'series' here, only image" in str(error)


def test_draw_opens_pictures_or_the_only_stream() -> None:
    def streams(*names: str) -> Streams:
        return Streams(tuple(StreamShape(name, "series", (4,), 4) for name in names))

    assert drawn_stream(streams("series", "image")) == "image"
    assert drawn_stream(streams("series")) == "series"
    with pytest.raises(UserError, match=r"series or depth; name it with --draw-stream"):
        drawn_stream(streams("series", "depth"))
