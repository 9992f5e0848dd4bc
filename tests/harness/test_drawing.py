"""Folders as the scorers of picture benchmarks read them, and what is drawn when again."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from chiasm.errors import UserError
from chiasm.harness.drawing import Drawn
from chiasm.harness.layouts import LAYOUTS, layout_of
from chiasm.inference.request import SamplingSettings
from chiasm.inference.sampler import Sampler
from chiasm.inference.tasks import draw as drawn_by_captions

QUICK = SamplingSettings(steps=1)


def pixels(path: Path) -> np.ndarray:
    with PillowImage.open(path) as picture:
        return np.asarray(picture)


def files(out: Path) -> set[str]:
    return {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}


def wanted(model, words: list[str], samples: int) -> list[np.ndarray]:
    """All pictures, by the captions one after another."""
    captions = [each for each in words for _ in range(samples)]
    return drawn_by_captions(Sampler(model), captions, settings=QUICK, seed=5)


def test_geneval_finds_its_line_and_samples_in_numbered_folders(draw, world_model, tmp_path):
    drawn = draw("geneval", tmp_path / "out")
    prompts = drawn.read_prompts()
    expected = iter(wanted(world_model, [prompt.words for prompt in prompts], 4))
    folders = sorted(path for path in (tmp_path / "out").iterdir())
    assert [folder.name for folder in folders] == ["00000", "00001", "00002"]
    for folder, prompt in zip(folders, prompts, strict=True):
        assert json.loads((folder / "metadata.jsonl").read_text()) == prompt.about
        found = sorted((folder / "samples").iterdir())
        assert [path.name for path in found] == [f"{n:04d}.png" for n in range(4)]
        for path in found:
            assert np.array_equal(pixels(path), next(expected))


def test_geneval2_finds_each_picture_by_its_prompt(draw, world_model, tmp_path):
    drawn = draw("geneval2", tmp_path / "out")
    paths = json.loads((tmp_path / "out" / "image_paths.json").read_text())
    words = [prompt.words for prompt in drawn.read_prompts()]
    assert list(paths) == words
    for each, expected in zip(words, wanted(world_model, words, 1), strict=True):
        assert Path(paths[each]).is_absolute()
        assert np.array_equal(pixels(Path(paths[each])), expected)


def test_dpg_bench_cuts_its_tiles_from_one_picture(draw, world_model, tmp_path):
    drawn = draw("dpg-bench", tmp_path / "out")
    words = [prompt.words for prompt in drawn.read_prompts()]
    expected = wanted(world_model, words, 4)
    assert files(tmp_path / "out") == {"0.png", "whoops5.png"}
    for number, name in enumerate(("0.png", "whoops5.png")):
        with PillowImage.open(tmp_path / "out" / name) as grid:
            corners = [(0, 0), (8, 0), (0, 8), (8, 8)]
            tiles = [np.asarray(grid.crop((x, y, x + 8, y + 8))) for x, y in corners]
            assert grid.size == (16, 16)
        for tile, own in zip(tiles, expected[4 * number : 4 * number + 4], strict=True):
            assert np.array_equal(tile, own)
    draw("dpg-bench", tmp_path / "single", samples=1)
    assert pixels(tmp_path / "single" / "0.png").shape == (8, 8, 3)


def test_wise_and_t2i_compbench_find_pictures_by_name_alone(draw, tmp_path):
    draw("wise", tmp_path / "wise")
    assert files(tmp_path / "wise") == {"7.png", "520.png", "641.png"}
    drawn = draw("t2i-compbench", tmp_path / "t2i", samples=2)
    names = [path.name for path in (tmp_path / "t2i" / "samples").iterdir()]
    names.sort(key=lambda name: int(name.split("_")[-1].split(".")[0]))
    words = [prompt.words for prompt in drawn.read_prompts()]
    assert [name.split("_")[0] for name in names] == [words[0], words[0], words[1], words[1]]


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_folder_drawn_in_parts_is_the_one_drawn_at_once(draw, tmp_path, name):
    draw(name, tmp_path / "once")
    draw(name, tmp_path / "parts")
    files_of = layout_of(name).files(
        draw(name, tmp_path / "parts").read_prompts(), LAYOUTS[name].samples
    )
    lost = [tmp_path / "parts" / file.path for file in files_of[1::2]]
    kept = [tmp_path / "parts" / file.path for file in files_of[::2]]
    times = [path.stat().st_mtime_ns for path in kept]
    pictures = {str(file.path) for file in files_of}
    for extra in sorted(files(tmp_path / "parts") - pictures)[-1:]:
        (tmp_path / "parts" / extra).unlink()
    for path in lost:
        path.unlink()
        (path.parent / f"{path.name}.partial").write_bytes(b"half of a")  # of a killed process
    draw(name, tmp_path / "parts", sampling=SamplingSettings(steps=1, batch_size=3))
    assert [path.stat().st_mtime_ns for path in kept] == times
    assert files(tmp_path / "parts") == files(tmp_path / "once")
    for file in files_of:
        once, parts = (tmp_path / which / file.path for which in ("once", "parts"))
        assert np.array_equal(pixels(once), pixels(parts))


def test_the_record_tells_what_was_drawn_and_with_what(draw, tmp_path):
    drawn = draw("geneval", tmp_path / "out", samples=1)
    assert Drawn.of(tmp_path / "out") == drawn
    record = json.loads((tmp_path / "out.json").read_text())
    assert record["layout"] == "djghosh13/geneval at af4902f"
    assert record["seed"] == 5
    assert "seed + that" in record["seeds"]
    assert record["sampling"]["steps"] == 1


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"seed": 6}, "seed"),
        ({"samples": 2}, "samples"),
        ({"sampling": SamplingSettings(steps=2)}, "sampling"),
    ],
)
def test_a_folder_goes_on_with_the_settings_that_it_was_begun_with(draw, tmp_path, changed, named):
    draw("geneval", tmp_path / "out", samples=1)
    with pytest.raises(UserError, match=f"begun with another {named}"):
        draw("geneval", tmp_path / "out", **{"samples": 1, **changed})


def test_what_cannot_be_drawn_is_told_before_anything_is_written(
    draw, world_model, short_model, prompts_of: Callable[..., Path], tmp_path
):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("keep")
    with pytest.raises(UserError, match="holds something else"):
        draw("geneval", tmp_path / "other")
    (tmp_path / "long.txt").write_text("a red cup\n" + "cup " * 60)
    with pytest.raises(UserError, match="model's context holds 64"):
        draw("t2i-compbench", tmp_path / "out", 1, short_model, prompts=tmp_path / "long.txt")
    with pytest.raises(UserError, match="cuts into squares"):
        draw("dpg-bench", tmp_path / "out", sampling=SamplingSettings(steps=1, aspect=2.0))
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.json").exists()
