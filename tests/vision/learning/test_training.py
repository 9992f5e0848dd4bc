import json
import os
import signal
from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch

from chiasm.documents import Document, Image, Text
from chiasm.errors import UserError
from chiasm.stop import Stopped
from chiasm.tokenizers.settings import open_tokenizer
from chiasm.tokenizers.storage import load_tokenizer
from chiasm.vision.kinds import RaeSettings
from chiasm.vision.learning.pictures import pictures_of_source
from chiasm.vision.learning.training import train_tokenizer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(tmp_path_factory, train_scenes, held_out_scenes, make_settings):
    folder = tmp_path_factory.mktemp("vision") / "scenes"
    tokenizer = train_tokenizer(
        make_settings(150, 80, 1000), train_scenes, held_out_scenes, folder, command="again"
    )
    return tokenizer, folder


def test_it_learns_to_see_and_to_draw(trained) -> None:
    _, folder = trained
    figures = json.loads((folder / "description.json").read_text())["record"]["figures"]
    assert figures["probe/wall"] > 0.9
    assert figures["drawn_probe/wall"] > 0.8
    assert figures["majority/wall"] < 0.6
    assert figures["psnr_decibels"] > 20


def test_latents_are_standardized_on_the_training_pictures(trained, train_scenes) -> None:
    tokenizer, _ = trained
    latents = tokenizer.encode(train_scenes.batch(np.arange(256)))
    assert latents.mean(dim=(0, 1)).abs().max() < 1e-3
    assert (latents.std(dim=(0, 1), unbiased=False) - 1).abs().max() < 1e-3
    assert tokenizer.statistics.data == "256 scenes of seed 0"


def test_the_folder_gives_the_same_tokenizer(trained, held_out_scenes) -> None:
    tokenizer, folder = trained
    loaded = open_tokenizer(RaeSettings(path=str(folder)))
    images = held_out_scenes.batch(np.arange(8))
    assert torch.equal(loaded.encode(images), tokenizer.encode(images))
    latents = loaded.encode(images)
    assert torch.equal(loaded.decode(latents), tokenizer.decode(latents))
    assert loaded.fingerprint == tokenizer.fingerprint
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_measuring_again_keeps_what_is_drawn(trained, held_out_scenes) -> None:
    _, folder = trained
    images = held_out_scenes.batch(np.arange(64))
    loaded = load_tokenizer(folder)
    before = loaded.decode(loaded.encode(images))
    loaded.measure([images], data="held-out scenes")
    torch.testing.assert_close(loaded.decode(loaded.encode(images)), before, atol=1e-4, rtol=0)


def test_other_weights_are_refused(trained, tmp_path) -> None:
    _, folder = trained
    for name in ("description.json", "weights.safetensors"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    content = bytearray((tmp_path / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "weights.safetensors").write_bytes(content)
    with pytest.raises(UserError, match=r"has the hash .* names"):
        load_tokenizer(tmp_path)


def test_other_shapes_are_refused(trained, tmp_path) -> None:
    _, folder = trained
    (tmp_path / "weights.safetensors").write_bytes((folder / "weights.safetensors").read_bytes())
    description = json.loads((folder / "description.json").read_text())
    description["encoder"]["widths"] = [8, 16, 64]
    (tmp_path / "description.json").write_text(json.dumps(description))
    with pytest.raises(UserError, match="does not fit the settings"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("content", [None, "{", "{}"], ids=["missing", "cut short", "empty"])
def test_a_broken_description_is_refused(tmp_path, content) -> None:
    if content is not None:
        (tmp_path / "description.json").write_text(content)
    with pytest.raises(UserError, match=r"description\.json"):
        load_tokenizer(tmp_path)


def test_a_name_that_is_nowhere_is_refused() -> None:
    with pytest.raises(UserError, match=r"path = 'no-such'.*embedded-world"):
        open_tokenizer(RaeSettings(path="no-such"))


class Stop(Exception):
    pass


def interrupted(at: tuple[str, int]) -> Callable:
    def interrupt(stage: str, done: int, total: int, losses: Mapping[str, float]) -> None:
        if (stage, done) == at:
            raise Stop

    return interrupt


@pytest.mark.parametrize("stop_at", [("encoder", 7), ("decoder", 9)], ids=lambda at: at[0])
def test_resumed_equals_uninterrupted(
    tmp_path, train_scenes, held_out_scenes, stop_at, make_settings
) -> None:
    settings = make_settings(10, 12, checkpoint_steps=4)
    train_tokenizer(settings, train_scenes, held_out_scenes, tmp_path / "whole")

    folder, stop = tmp_path / "stopped", interrupted(stop_at)
    with pytest.raises(Stop):
        train_tokenizer(settings, train_scenes, held_out_scenes, folder, progress=stop)
    assert not (folder / "description.json").exists()
    train_tokenizer(settings, train_scenes, held_out_scenes, folder)
    for name in ("weights.safetensors", "description.json"):
        assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not list(folder.rglob("checkpoints"))


def test_a_signal_saves_the_step_that_it_found(
    tmp_path, train_scenes, held_out_scenes, make_settings
) -> None:
    settings = make_settings(10, 1, checkpoint_steps=100)
    data = (train_scenes, held_out_scenes)
    whole = train_tokenizer(settings, *data, tmp_path / "whole")

    def terminate(stage: str, done: int, total: int, losses: dict[str, float]) -> None:
        if (stage, done) == ("encoder", 7):
            os.kill(os.getpid(), signal.SIGTERM)

    folder = tmp_path / "stopped"
    with pytest.raises(Stopped, match="SIGTERM at step 7 of 10 of stage encoder; saved"):
        train_tokenizer(settings, *data, folder, progress=terminate)
    steps = []
    again = train_tokenizer(
        settings, *data, folder, progress=lambda stage, done, *rest: steps.append((stage, done))
    )
    assert steps[0] == ("encoder", 8)
    assert again.fingerprint == whole.fingerprint


def test_a_finished_folder_is_opened(trained, train_scenes, held_out_scenes, make_settings) -> None:
    tokenizer, folder = trained
    before = (folder / "description.json").stat().st_mtime_ns
    again = train_tokenizer(make_settings(150, 80, 1000), train_scenes, held_out_scenes, folder)
    assert again.fingerprint == tokenizer.fingerprint
    assert (folder / "description.json").stat().st_mtime_ns == before


def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    tmp_path, train_scenes, held_out_scenes, make_settings
) -> None:
    settings, data = make_settings(10, 1, 2), (train_scenes, held_out_scenes)
    whole = train_tokenizer(settings, *data, tmp_path / "whole")
    folder, told = tmp_path / "damaged", []
    with pytest.raises(Stop):
        train_tokenizer(settings, *data, folder, progress=interrupted(("encoder", 9)))
    newest = folder / "encoder" / "checkpoints" / "step-0000008" / "__0_0.distcp"
    newest.write_bytes(newest.read_bytes()[:-1])
    again = train_tokenizer(settings, *data, folder, tell=told.append)
    assert "step-0000008 is damaged" in told[0]
    assert told[1] == "going on from step 6 of 10 of stage encoder"
    assert again.fingerprint == whole.fingerprint


def test_training_that_diverges_is_told_with_its_setting(
    tmp_path, train_scenes, held_out_scenes, make_settings
) -> None:
    settings = make_settings(30, 1, 2)
    fit = settings.contrastive.fit.model_copy(update={"learning_rate": 1e30})
    diverging = settings.contrastive.model_copy(update={"fit": fit})
    settings = settings.model_copy(update={"contrastive": diverging})
    with pytest.raises(
        UserError,
        match=r"of 30 of stage encoder: .* not finite in 10 steps .*; lower "
        r"contrastive\.fit\.learning_rate or raise contrastive\.fit\.warmup_steps",
    ):
        train_tokenizer(settings, train_scenes, held_out_scenes, tmp_path)


def test_a_begun_training_of_other_settings_is_refused_and_kept(
    tmp_path, train_scenes, held_out_scenes, make_settings
) -> None:
    data, stop = (train_scenes, held_out_scenes), interrupted(("encoder", 3))
    with pytest.raises(Stop):
        train_tokenizer(make_settings(9, 1, 2), *data, tmp_path, progress=stop)
    with pytest.raises(UserError, match=r"step-0000002 was written by a run with other settings"):
        train_tokenizer(make_settings(11, 1, 2), *data, tmp_path)
    assert (tmp_path / "encoder" / "checkpoints" / "step-0000002").is_dir()


def test_a_folder_of_other_settings_is_refused(
    trained, train_scenes, held_out_scenes, make_settings
) -> None:
    _, folder = trained
    with pytest.raises(UserError, match="other settings"):
        train_tokenizer(make_settings(11, 12, 4), train_scenes, held_out_scenes, folder)


def test_pictures_of_another_size_are_refused(tmp_path, train_scenes, make_settings) -> None:
    large = make_settings(1, 1, 1).encoder.model_copy(update={"image_pixels": 64})
    settings = make_settings(1, 1, 1).model_copy(update={"encoder": large})
    with pytest.raises(UserError, match=r"image_pixels = 64, but .* \(32, 32, 3\)"):
        train_tokenizer(settings, train_scenes, train_scenes, tmp_path)


class Documents:
    """An image-text source without ground truth."""

    name = "scenes"

    def __init__(self, documents: list[Document]) -> None:
        self._documents = documents

    def __len__(self) -> int:
        return len(self._documents)

    def __getitem__(self, index: int) -> Document:
        return self._documents[index]


def test_any_image_text_source_will_do(tmp_path, make_settings, held_out_scenes) -> None:
    given = held_out_scenes
    documents = [
        Document((Image(pixels, target=False), Text(f"caption: {of_one[0]}")))
        for pixels, of_one in zip(given.pixels_MHW3, given.captions, strict=True)
    ]
    again = Image(given.pixels_MHW3[5], target=True)
    documents.append(Document((Text("picture: one of them again"), again)))
    documents.append(Document((Text("a text without a picture"),)))
    pictures = pictures_of_source(Documents(documents), 32, data="plain scenes")
    assert len(pictures) == 64
    assert pictures.captions[5][1:] == ("picture: one of them again",)
    tokenizer = train_tokenizer(make_settings(2, 2, 10), pictures, pictures, tmp_path)
    assert tokenizer.encode(pictures.batch(np.arange(3))).shape == (3, 4, 16)


def test_pictures_that_cannot_be_decoded_are_left_out(held_out_scenes) -> None:
    whole, broken = held_out_scenes.pixels_MHW3[0], b"no picture"
    documents = [
        Document((Image(data, target=False), Text("caption: a scene"))) for data in (broken, whole)
    ]
    pictures = pictures_of_source(Documents(documents), 32, data="scenes")
    assert (len(pictures), len(pictures.unreadable)) == (1, 1)
    with pytest.raises(UserError, match="1 cannot be decoded"):
        pictures_of_source(Documents(documents[:1]), 32, data="scenes")


def test_the_content_tells_data_of_one_name_apart(held_out_scenes) -> None:
    def content(picture: int, words: str) -> str:
        shown = Image(held_out_scenes.pixels_MHW3[picture], target=False)
        source = Documents([Document((shown, Text(words)))])
        return pictures_of_source(source, 32, data="scenes").content

    assert content(0, "a") == content(0, "a")
    assert len({content(0, "a"), content(1, "a"), content(0, "b")}) == 3


def test_a_source_without_pairs_is_refused() -> None:
    source = Documents([Document((Text("only words"),))])
    with pytest.raises(UserError, match="no document with a picture and a text"):
        pictures_of_source(source, 32, data="words")
