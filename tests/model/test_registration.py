"""New kinds of attention touch no file of the library: one here, and the one of docs/model.md."""

import re
from pathlib import Path
from typing import Literal

import pytest
import torch

from chiasm.assembly import train_run
from chiasm.inference.canvas import item_passage
from chiasm.inference.history import History, lay_out
from chiasm.inference.passage import Passage, PlacedItem
from chiasm.inference.pretrained import Pretrained
from chiasm.model.attention import GroupedAttention
from chiasm.model.kinds import GroupedSettings
from chiasm.model.settings import ATTENTIONS
from chiasm.recipe import parse_recipe


class SlidingAttention(GroupedAttention):
    def forward(self, x_BTD, rotary_BTK, mask, past=None, by_modality=None):
        return super().forward(x_BTD, rotary_BTK, mask.within(5), past, by_modality)


@ATTENTIONS.register
class SlidingSettings(GroupedSettings):
    kind: Literal["sliding"] = "sliding"

    def build(self, model, modalities):
        return SlidingAttention(model, modalities)


PAGE = Path(__file__).parents[2] / "docs" / "model.md"
exec(re.search(r"```python\n(from typing.*?)```", PAGE.read_text(), re.DOTALL)[1])


@pytest.mark.slow
@pytest.mark.parametrize("attention", [{"kind": "sliding"}, {"kind": "latent", "latent_width": 8}])
def test_a_new_attention_is_trained_saved_and_read_from_its_cache(attention, tmp_path):
    for number in range(20):
        (tmp_path / f"{number}.txt").write_text(f"this is text {number} of twenty")
    content = {
        "name": "tiny",
        "tokenizer": {"vocabulary_tokens": 280},
        "stream": {
            "sequence_length": 64,
            "sources": {"t": {"kind": "text", "path": str(tmp_path)}},
        },
        "model": {"width": 48, "depth": 2, "attention": attention, "attention_weights": "modality"},
        "training": {"steps": 5, "schedule": {"warmup_steps": 1}},
    }
    train_run(parse_recipe(content), tmp_path / "run", tell=lambda line: None)
    model = Pretrained.load(tmp_path / "run")
    shape, marks = model.decoder.shapes["image"], model.text_tokenizer.marks["image"]
    closed = item_passage(shape, marks, closed=True)
    z = {"image": torch.randn(shape.num_tokens, shape.channels)}
    first, last = Passage([1, *range(30, 38), marks.begin]), Passage([40])
    whole = Passage(
        [*first.ids, *closed.ids, *last.ids], (PlacedItem("image", len(first), shape.grid),)
    )
    history = History(model.decoder, num_members=2, capacity=len(whole))
    history.read([0, 1], [last, first])
    history.read(history.gather([1]), [closed], z)  # moves it to the first row
    at_once = lay_out(model.decoder, [whole], z, 1.0, [0], cache=None)
    expected_BD = model.decoder(at_once.inputs, at_once.mask)[:, -1]
    torch.testing.assert_close(history.read([1], [last]), expected_BD, atol=1e-5, rtol=1e-5)
