"""Where metrics come from, and those that no cell can have."""

import json

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from chiasm.data.tokenizer import TextTokenizer
from chiasm.documents import Document, Text
from chiasm.errors import UserError
from chiasm.evaluation.material import Items
from chiasm.evaluation.settings import EvaluationSettings
from chiasm.studies.measures import measure, refuse_lossy
from chiasm.studies.settings import MetricSettings


def reported(folder, metric: str, names: list[str]):
    rows = [
        {"name": name, "value": float(n), "standard_error": 0.1, "unit": "share"}
        for n, name in enumerate(names)
    ]
    (folder / "report.json").write_text(json.dumps({"rows": rows}))
    settings = MetricSettings(name="answers", report=metric)
    return measure([settings], None, {}, folder, EvaluationSettings())["answers"].value


def test_a_row_of_several_sources_is_asked_for_by_its_source(tmp_path):
    names = ["bits", "answered, all kinds, birds", "answered, all kinds, trees"]
    assert reported(tmp_path, "answered, all kinds, trees", names) == 2
    with pytest.raises(UserError, match="of several: choose one of") as refused:
        reported(tmp_path, "answered, all kinds", names)
    assert "'answered, all kinds, birds', 'answered, all kinds, trees'" in str(refused.value)
    assert "bits" not in str(refused.value)
    with pytest.raises(UserError, match="it has 'bits'"):
        reported(tmp_path, "drawn", names)


def test_bits_per_byte_of_text_that_a_tokenizer_loses_are_refused():
    backend = Tokenizer(models.WordLevel({"[UNK]": 0, "wall": 1}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    lossy, whole = TextTokenizer(backend), TextTokenizer.train(["wall"], 300)
    texts = ["wall wall", "wall", "wall of bricks"]
    items = Items([Document((Text(text),)) for text in texts], np.arange(3))
    metric = MetricSettings(name="bits", held_out="stories")
    refuse_lossy([metric], {"stories": items}, whole)
    refuse_lossy([metric.model_copy(update={"loss": "flow"})], {"stories": items}, lossy)
    with pytest.raises(UserError, match=r"metric 'bits': .* 1 of 3 .* tokenizer\.path"):
        refuse_lossy([metric], {"stories": items}, lossy)
