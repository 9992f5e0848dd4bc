"""A third stream touches no file of the library: waves beside text and pictures."""

import shutil
from typing import Literal

import numpy as np
import pytest
import torch

from chiasm.assembly import train_run
from chiasm.data.source import SOURCES, Opened, SourceFacts, SourceSettings
from chiasm.documents import Continuous, Document, Image, Text
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import Request, SamplingSettings
from chiasm.inference.sampler import Sampler
from chiasm.recipe import parse_recipe
from chiasm.tokenizers.parts import Decoder, Encoder
from chiasm.tokenizers.settings import TOKENIZERS, TokenizerSettings
from chiasm.tokenizers.tokenizer import Tokenizer

TIMES = np.arange(16, dtype=np.float32)
WAVES = {"slow": np.sin(0.4 * TIMES), "fast": np.sin(1.1 * TIMES)}


class Patches(Encoder, Decoder, kind="series-patches"):
    modality, grid, channels = "series", (4,), 4

    def read(self, data):
        return torch.as_tensor(data)

    def encode(self, items_B):
        return items_B.unflatten(1, (4, 4))

    def decode(self, raw_BPC):
        return raw_BPC.flatten(1)

    def span(self, item, stream):
        return Continuous(item.cpu().numpy(), target=False, stream=stream)


@TOKENIZERS.register
class PatchSettings(TokenizerSettings):
    kind: Literal["series-patches"] = "series-patches"

    def open(self):
        return Tokenizer("wave patches", patches := Patches(), patches)


@SOURCES.register
class WaveSettings(SourceSettings):
    kind: Literal["two-waves"] = "two-waves"

    def open(self, name, opening):
        documents = type("Waves", (list,), {"name": name})()
        for number, (word, wave) in enumerate(WAVES.items()):
            picture = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            drawn, seen = (Continuous(wave, target, "series") for target in (True, False))
            documents += [Document((Text(f"wave: {word}"), drawn)), Document((seen, Text(word)))]
            documents.append(Document((Image(picture, target=True), Text(word))))
        return Opened(documents, documents, SourceFacts("waves", 6, 12, 6, origin="waves"))


@pytest.mark.slow
def test_waves_are_drawn_named_and_resumed_bit_by_bit(tmp_path) -> None:
    stream = {"sequence_length": 64, "batch_size": 4, "sources": {"waves": {"kind": "two-waves"}}}
    model = {"width": 32, "depth": 2, "query_heads": 2, "key_value_heads": 1}
    recipe = {"name": "waves", "stream": stream, "model": model, "training": {"steps": 400}}
    recipe["streams"] = {"image": {"kind": "pixels", "image_pixels": 8}}
    recipe["streams"]["series"] = {"kind": "series-patches"}
    train_run(parse_recipe(recipe), run := tmp_path / "run")
    asked = [Request((Text(f"wave: {word}"),), opens=True, stream="series") for word in WAVES]
    asked += [Request((Continuous(wave, False, "series"),)) for wave in WAVES.values()]
    sampling = SamplingSettings(max_tokens=6, steps=10, temperature=0)
    *drawn, one, other = Sampler(Pretrained.load(run)).generate(asked, sampling)
    for spans, wave in zip(drawn, WAVES.values(), strict=True):
        assert np.corrcoef(spans[0].data, wave)[0, 1] > 0.9
    assert [one[0].text, other[0].text] == list(WAVES)
    files = run / "metrics.jsonl", run / "model/model.safetensors"
    before = [file.read_bytes() for file in files]
    shutil.rmtree(run / "checkpoints/step-0000400")
    train_run(parse_recipe(recipe), run)
    assert [file.read_bytes() for file in files] == before
