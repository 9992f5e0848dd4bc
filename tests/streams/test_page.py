"""The file of docs/streams.md, as a user would copy it."""

import re
from pathlib import Path

import numpy as np

from chiasm.assembly import open_material, train_run
from chiasm.documents import Text
from chiasm.evaluation import evaluate
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import Request, SamplingSettings
from chiasm.inference.sampler import Sampler
from chiasm.recipe import load_recipe

PAGE = (Path(__file__).parents[2] / "docs" / "streams.md").read_text()


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
    sections = {row.section for row in evaluate(model, open_material(settings)).rows}
    assert {"text", "flow loss"} <= sections
