"""Latent statistics over a gallery, against one pass over all latents at once."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from chiasm.errors import UserError
from chiasm.tokenizers.statistics import read_statistics
from chiasm.vision.cached.gallery import gallery_of_folder
from chiasm.vision.cached.measurement import measure_gallery
from chiasm.vision.pixels import pixel_tokenizer

CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    drawn = np.random.default_rng(0)
    (tmp_path / "deeper").mkdir()
    for number in range(130):  # more than are encoded together
        pixels = drawn.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        place = tmp_path / "deeper" if number % 2 else tmp_path
        PillowImage.fromarray(pixels).save(place / f"{number:03d}.png")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return tmp_path


def test_statistics_are_those_of_all_latents_at_once(folder: Path) -> None:
    told: list[tuple[str, int, int]] = []
    found = measure_gallery(
        gallery_of_folder(folder),
        pixel_tokenizer(16, 8),
        most=1000,
        device=CPU,
        data="noise",
        progress=lambda *stage: told.append(stage),
    )
    pixels = [np.array(PillowImage.open(path)) for path in folder.rglob("???.png")]
    images = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2) / 255
    raw = pixel_tokenizer(16, 8).encoder.encode(images).flatten(0, 1).double()
    np.testing.assert_allclose(found.mean_C, raw.mean(dim=0), rtol=1e-6)
    np.testing.assert_allclose(found.std_C, raw.std(dim=0, unbiased=False), rtol=1e-6)
    assert (found.count, found.data, found.encoder) == (len(raw), "noise", "pixels")
    assert told[-1] == ("measuring", 131, 131)


def test_few_pictures_are_spread_over_all(folder: Path) -> None:
    (folder / "broken.png").unlink()
    for path in sorted(folder.rglob("*.png"))[65:]:
        PillowImage.new("RGB", (16, 16), "white").save(path)
    gallery = gallery_of_folder(folder)
    found = measure_gallery(gallery, pixel_tokenizer(16, 8), most=10, device=CPU, data="noise")
    assert found.count == 10 * 4
    assert np.mean(found.mean_C) == pytest.approx(0.75, abs=0.02)  # half noise, half white


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(UserError, match="holds no picture files"):
        gallery_of_folder(tmp_path)


def test_the_verb_writes_what_a_recipe_reads(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from typer.testing import CliRunner

    from chiasm.cli import app

    out = tmp_path_factory.mktemp("out")
    sources = '[stream.sources.it]\nkind = "image_text"\npath = "nowhere"\n'
    recipe = out / "recipe.toml"
    vision = 'kind = "pixels"\nimage_pixels = 16\nstatistics = "later.json"\n'
    recipe.write_text(f'name = "it"\n[streams.image]\n{vision}{sources}')
    command = ["vision", "stats", str(recipe), "--folder", str(folder)]
    result = CliRunner().invoke(app, [*command, "--out", str(out / "later.json")])
    assert result.exit_code == 0, result.output
    statistics = read_statistics(out / "later.json")
    assert statistics.count == 130 * 4
    assert statistics.data == str(folder)
    assert json.loads((out / "later.json").read_text())["preprocessing"] == "RGB in [0, 1]"
