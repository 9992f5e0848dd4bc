import json
import tomllib
from pathlib import Path

import pytest
from PIL import Image as PillowImage

from chiasm.errors import UserError
from chiasm.vision import VisionTrainingSettings, train_from_settings

RECIPE = Path(__file__).parents[2] / "recipes" / "vision-embedded-world.toml"
SHIPPED = Path(__file__).parents[2] / "chiasm" / "vision" / "pretrained" / "embedded-world"


def folder_of(pictures, folder: Path) -> Path:
    folder.mkdir()
    rows = []
    for number, (pixels, captions) in enumerate(
        zip(pictures.pixels_MHW3, pictures.captions, strict=True)
    ):
        PillowImage.fromarray(pixels).save(folder / f"{number}.png")
        rows.append({"file_name": f"{number}.png", "text": captions[0]})
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def settings_for(path: Path, make_settings) -> VisionTrainingSettings:
    return VisionTrainingSettings.model_validate(
        {
            **make_settings(2, 2, 10).model_dump(),
            "source": {"kind": "image_text", "path": str(path), "held_out_fraction": 0.2},
        }
    )


def test_a_folder_of_pictures_and_captions(tmp_path, train_scenes, make_settings) -> None:
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
    record = json.loads((tmp_path / "out" / "vision.json").read_text())["record"]
    assert 0 < record["figures"]["held_out_pictures"] < record["training_pictures"] < 256


def test_a_folder_that_is_missing_is_refused(tmp_path, make_settings) -> None:
    with pytest.raises(UserError, match="source"):
        train_from_settings(
            settings_for(tmp_path / "nowhere", make_settings), tmp_path, cache_folder=tmp_path
        )


def test_the_shipped_tokenizer_is_the_recipes() -> None:
    recipe = VisionTrainingSettings.model_validate(tomllib.loads(RECIPE.read_text()))
    record = json.loads((SHIPPED / "vision.json").read_text())["record"]
    assert VisionTrainingSettings.model_validate(record["settings"]) == recipe
