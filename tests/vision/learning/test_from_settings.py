import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from chiasm.earlier import built_in
from chiasm.errors import UserError
from chiasm.tokenizers.storage import load_tokenizer
from chiasm.vision.kinds import RaeSettings
from chiasm.vision.learning.from_settings import train_from_settings
from chiasm.vision.learning.settings import VisionTrainingSettings

RECIPE = Path(__file__).parents[3] / "recipes" / "vision-embedded-world.toml"
PRETRAINED = Path(__file__).parents[3] / "chiasm" / "vision" / "pretrained"


@pytest.fixture
def folder_of(picture_folder):
    """Writes scenes as files."""
    return lambda scenes, folder: picture_folder(
        folder, scenes.pixels_MHW3, lambda number: {"text": scenes.captions[number][0]}
    )


def settings_for(path: Path, make_settings) -> VisionTrainingSettings:
    return VisionTrainingSettings.model_validate(
        {
            **make_settings(2, 2, 10).model_dump(),
            "source": {"kind": "image_text", "path": str(path), "held_out_fraction": 0.2},
        }
    )


@pytest.mark.slow
def test_a_folder_of_pictures_and_captions(
    folder_of, tmp_path, train_scenes, make_settings
) -> None:
    settings = settings_for(folder_of(train_scenes, tmp_path / "mine"), make_settings)
    seen = set()
    tokenizer = train_from_settings(
        settings,
        tmp_path / "out",
        cache_folder=tmp_path / "cache",
        progress=lambda stage, done, total, losses: seen.add(stage),
    )
    assert seen == {"encoder", "decoder"}
    assert str(tmp_path / "mine") in tokenizer.statistics.data
    record = json.loads((tmp_path / "out" / "description.json").read_text())["record"]
    assert 0 < record["figures"]["held_out_pictures"] < record["training_pictures"] < 256


class Colours(torch.nn.Module):
    """A feature network: the mean colour."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.float().mean(dim=(2, 3))


def test_a_folder_of_pictures_alone(folder_of, tmp_path, train_scenes, make_settings):
    folder = folder_of(train_scenes.select(np.arange(60)), tmp_path / "mine")
    (folder / "metadata.jsonl").unlink()
    settings = settings_for(folder, make_settings)
    with pytest.raises(UserError, match="no captions were found"):
        train_from_settings(settings, tmp_path / "out", cache_folder=tmp_path)
    fit = settings.contrastive.fit.model_dump()
    plain = VisionTrainingSettings.model_validate(
        settings.model_dump() | {"objective": "self_supervised", "self_supervised": {"fit": fit}}
    )
    train_from_settings(plain, tmp_path / "out", cache_folder=tmp_path)
    record = json.loads((tmp_path / "out" / "description.json").read_text())["record"]
    held_out = record["figures"]["held_out_pictures"]
    assert held_out > 0
    assert record["training_pictures"] + held_out == 60


def test_a_frozen_tokenizer_and_a_feature_network(
    folder_of, tmp_path, train_scenes, make_settings
) -> None:
    folder = folder_of(train_scenes.select(np.arange(60)), tmp_path / "mine")
    settings = VisionTrainingSettings.model_validate(
        settings_for(folder, make_settings).model_dump()
        | {
            "frozen": {"kind": "pixels", "image_pixels": 32, "patch_pixels": 16},
            "decoder": {"kind": "vit", "width": 16, "depth": 1, "heads": 2},
        }
    )
    with pytest.warns(DeprecationWarning, match="torch.jit"):
        torch.jit.script(Colours()).save(tmp_path / "colours.pt")
    train_from_settings(
        settings, tmp_path / "out", cache_folder=tmp_path, inception=tmp_path / "colours.pt"
    )
    record = json.loads((tmp_path / "out" / "description.json").read_text())["record"]
    assert record["figures"]["rfid"] > 0
    assert len(record["inception_sha256"]) == 64
    assert record["settings"]["frozen"]["kind"] == "pixels"
    opened = load_tokenizer(tmp_path / "out")
    assert opened.channels == 3 * 16**2


def test_a_wrong_feature_network_is_refused_before_pictures_are_read(
    tmp_path, make_settings
) -> None:
    settings = settings_for(tmp_path / "nowhere", make_settings)
    with pytest.raises(UserError, match="--inception"):
        train_from_settings(
            settings, tmp_path / "out", cache_folder=tmp_path, inception=tmp_path / "none.pt"
        )


def test_a_world_of_another_size_is_refused_before_it_is_rendered(tmp_path) -> None:
    settings = VisionTrainingSettings.model_validate({"encoder": {"image_pixels": 32}})
    with pytest.raises(UserError, match=r"encoder.image_pixels = 32, but world.image_pixels = 64"):
        train_from_settings(settings, tmp_path / "out", cache_folder=tmp_path / "cache")
    assert not any(tmp_path.iterdir())


def test_a_folder_that_is_missing_is_refused(tmp_path, make_settings) -> None:
    with pytest.raises(UserError, match="source"):
        train_from_settings(
            settings_for(tmp_path / "nowhere", make_settings), tmp_path, cache_folder=tmp_path
        )


def removed(told: dict, prefix: str = "") -> Iterator[tuple[str, object]]:
    """What is built in since, taken out of the settings that a record tells."""
    for name, value in list(told.items()):
        if isinstance(value, dict):
            yield from removed(value, f"{prefix}{name}.")
        elif built_in(f"{prefix}{name}"):
            yield f"{prefix}{name}", told.pop(name)


def test_the_shipped_tokenizer_is_the_recipes() -> None:
    recipe = VisionTrainingSettings.model_validate(tomllib.loads(RECIPE.read_text()))
    record = json.loads((PRETRAINED / "embedded-world" / "description.json").read_text())["record"]
    told = record["settings"]
    source = recipe.source.model_dump()
    later = {"license": "", "loss": "all"}
    assert {name: source.pop(name) for name in later} == later
    # When it was trained, all kinds of sources had all settings.
    assert {name: told["source"][name] for name in source} == source
    told["source"] = source
    gone = dict(removed(told))
    assert len(gone) == 11
    del gone["render_processes"]
    assert {name: f"{value:g}" for name, value in gone.items()} == {
        name: built_in(name).split()[0] for name in gone
    }
    assert VisionTrainingSettings.model_validate(told) == recipe


def test_the_second_shipped_tokenizer_is_its_recipes() -> None:
    recipe = RECIPE.with_name("vision-embedded-world-sharp.toml")
    asked = VisionTrainingSettings.model_validate(tomllib.loads(recipe.read_text()))
    described = json.loads((PRETRAINED / "embedded-world-sharp" / "description.json").read_text())
    assert VisionTrainingSettings.model_validate(described["record"]["settings"]) == asked


def test_errors_speak_of_the_settings_of_this_recipe(
    folder_of, tmp_path, train_scenes, make_settings
) -> None:
    mine = folder_of(train_scenes, tmp_path / "mine")
    settings = settings_for(mine, make_settings)
    arguments = {"out": tmp_path / "out", "cache_folder": tmp_path / "cache"}
    (mine / "metadata.jsonl").unlink()  # and with it the captions
    with pytest.raises(UserError, match=r"^source\."):
        train_from_settings(settings, **arguments)
    frozen = RaeSettings(path="nowhere")
    with pytest.raises(UserError, match=r"frozen\.path = 'nowhere' is neither"):
        train_from_settings(settings.model_copy(update={"frozen": frozen}), **arguments)
