"""The file of docs/streams.md, as a user would copy it."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from typer.testing import CliRunner, Result

from chiasm.assembly import open_material, train_run
from chiasm.cli import app
from chiasm.documents import Text
from chiasm.errors import UserError
from chiasm.evaluation.evaluate import evaluate
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import Request, SamplingSettings
from chiasm.inference.sampler import Sampler
from chiasm.recipe import load_recipe

PAGE = (Path(__file__).parents[2] / "docs" / "streams.md").read_text()


def sample_on_the_command_line(folder: Path) -> None:
    """Text to a wave, and that wave's file to text; a picture is no wave."""
    run, out, picture = folder / "run", folder / "samples", folder / "picture.png"

    def sample(*arguments: object) -> Result:
        return CliRunner().invoke(app, ["sample", str(run), *map(str, arguments)])

    asked = ("--prompt", "wave: slow", "--max-tokens", 0, "--solver-steps", 5, "--out", out)
    for number, how in enumerate((("--draw",), ("--draw-stream", "series")), start=1):
        drawn = sample(*asked, *how)
        assert drawn.exit_code == 0, drawn.output
        assert drawn.stdout == f"{out}/seed-0-series-{number}.npy\n"
    item = ("--item", f"series={out}/seed-0-series-1.npy")
    read = sample(*item, "--prompt", "name:", "--max-items", 0, "--max-tokens", 3)
    assert read.exit_code == 0, read.output
    assert read.stdout.strip()
    PillowImage.fromarray(np.zeros((20, 20, 3), np.uint8)).save(picture)
    np.save(folder / "short.npy", np.zeros(12, np.float32))
    for file in (picture, folder / "short.npy"):
        refused = sample("--item", f"series={file}").exception
        assert isinstance(refused, UserError)
        assert str(refused).startswith(f"--item series={file}")


@pytest.mark.slow
def test_the_page_is_a_stream(tmp_path: Path) -> None:
    module, recipe = tmp_path / "waves.py", tmp_path / "waves.toml"
    module.write_text(re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1])
    recipe.write_text(re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)[1])
    settings = load_recipe(recipe, ["training.steps=150", "training.schedule.warmup_steps=20"])
    train_run(settings, tmp_path / "run", tell=lambda line: None)
    model = Pretrained.load(tmp_path / "run")
    assert model.decoder.shapes.modalities == ("text", "series")
    sampling = SamplingSettings(max_tokens=0, steps=5)
    ((wave,),) = Sampler(model).generate(
        [Request((Text("wave: slow"),), opens=True, stream="series")], sampling
    )
    assert wave.data.shape == (16,)
    assert np.isfinite(wave.data).all()
    sample_on_the_command_line(tmp_path)
    sections = {row.section for row in evaluate(model, open_material(settings)).rows}
    assert {"text", "flow loss"} <= sections
