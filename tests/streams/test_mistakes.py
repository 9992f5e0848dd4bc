"""Mistakes in an encoder or a source of one's own: a message that names the stream or document."""

from typing import Literal

import numpy as np
import pytest
import torch

from chiasm.assembly import open_tokenizers, train_run
from chiasm.data.source import SOURCES, Opened, SourceFacts, SourceSettings
from chiasm.documents import Continuous, Document, Text
from chiasm.errors import UserError
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import Request, SamplingSettings
from chiasm.inference.sampler import Sampler
from chiasm.recipe import parse_recipe
from chiasm.tokenizers.parts import Decoder, Encoder
from chiasm.tokenizers.settings import TOKENIZERS, TokenizerSettings
from chiasm.tokenizers.tokenizer import Tokenizer


class Pairs(Encoder, Decoder, kind="mistaken-pairs"):
    def __init__(self, mistake):
        if mistake != "no super":
            super().__init__()
        self.mistake = mistake
        for name, value in {"modality": "sensor", "grid": (4,), "channels": 2}.items():
            if mistake != f"no {name}":
                setattr(self, name, value)
        if mistake == "grid of no tuple":
            self.grid = 4
        if mistake == "modality of text":
            self.modality = "text"

    def describe(self):
        return {"mistake": self.mistake}

    def read(self, data):
        if self.mistake == "reads arrays":
            return np.asarray(data)
        if isinstance(data, str):
            raise {"bad": ValueError, "odd": KeyError}[data](f"{data} line")
        return torch.as_tensor(data, dtype=torch.float32)

    def encode(self, items_B):
        if self.mistake == "flat latents":
            return items_B
        if self.mistake == "not finite":
            items_B = items_B / 0
        return items_B.unflatten(1, (4, 2))

    def decode(self, raw_BPC):
        return raw_BPC.flatten(1)

    def span(self, item, stream):
        return Continuous(item.cpu().numpy(), target=False, stream=stream)


@TOKENIZERS.register
class PairSettings(TokenizerSettings):
    kind: Literal["mistaken-pairs"] = "mistaken-pairs"
    mistake: str = ""

    def open(self):
        if self.mistake == "opens an encoder":
            return Pairs("")
        return Tokenizer("pairs", pairs := Pairs(self.mistake), pairs)


class Readings(list):
    name = "readings"

    def __init__(self, document_57):
        self.document_57 = document_57
        random = np.random.default_rng(0)
        super().__init__(random.standard_normal((100, 8)))

    def __getitem__(self, index):
        name = Text(f"reading {index}")
        if index != 57 or not self.document_57:
            return Document((name, Continuous(super().__getitem__(index), True, "sensor")))
        if self.document_57 in ("bad", "odd"):
            return Document((name, Continuous(self.document_57, True, "sensor")))
        if self.document_57 == "tuple":
            return (name,)
        raise {"ValueError": ValueError, "KeyError": KeyError}[self.document_57]("no such file")


@SOURCES.register
class ReadingSettings(SourceSettings):
    kind: Literal["mistaken-readings"] = "mistaken-readings"
    document_57: str = ""

    def open(self, name, opening):
        documents = Readings(self.document_57)
        if self.document_57 == "of a bare list":
            return documents
        return Opened(documents, Readings(""), SourceFacts(self.kind, 100, 100, 100, origin="luck"))


def recipe(mistake="", document_57="", stream="sensor"):
    source = {"kind": "mistaken-readings", "document_57": document_57}
    return parse_recipe(
        {
            "name": "mistakes",
            "streams": {stream: {"kind": "mistaken-pairs", "mistake": mistake}},
            "stream": {"sequence_length": 64, "sources": {"readings": source}},
            "model": {"width": 16, "depth": 1, "query_heads": 2, "key_value_heads": 1},
            "training": {"steps": 12, "validation_batches": 0, "schedule": {"warmup_steps": 2}},
        }
    )


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        ("no modality", r"streams\.sensor\.kind opens the encoder Pairs, which has no modality"),
        ("no grid", r"streams\.sensor\.kind opens .* no grid; set grid to .* such as \(8,\)"),
        ("no channels", r"streams\.sensor\.kind opens .* no channels; set channels to"),
        ("grid of no tuple", r"streams\.sensor\.kind opens .* has 4 for its grid; set grid"),
        ("no super", r"streams\.sensor\.kind opens .* not initialized; .* super\(\)"),
        ("opens an encoder", r"streams\.sensor\.kind = 'mistaken-pairs' returned a Pairs"),
        ("modality of text", r"streams\.sensor has .* modality 'text'"),
    ],
)
def test_an_encoder_that_lacks_what_it_must_say(mistake, message):
    with pytest.raises(UserError, match=message):
        open_tokenizers(recipe(mistake)).streams.names  # noqa: B018


def test_the_words_have_their_name_to_themselves():
    with pytest.raises(UserError, match=r"streams\.text has the name"):
        open_tokenizers(recipe(stream="text")).streams.names  # noqa: B018


@pytest.mark.parametrize(
    ("mistake", "document_57", "message"),
    [
        (
            "flat latents",
            "",
            r"^streams\.sensor: Pairs\.encode\(\) gave \[1, 8\] where grid \(4,\) and channels 2 "
            r"ask for \[1, 4, 2\]",
        ),
        ("not finite", "", r"^streams\.sensor: latents are not finite"),
        ("reads arrays", "", r"readings\[\d+\]: TypeError: Pairs\.read\(\) gave a ndarray"),
        ("", "odd", r"readings\[57\]: KeyError: 'odd line'"),
        ("", "KeyError", r"readings\[57\]: KeyError: 'no such file'"),
        (
            "",
            "of a bare list",
            r"sources\.readings\.kind = 'mistaken-readings' returned a Readings",
        ),
        ("", "tuple", r"readings\[57\]: TypeError: the source gave a tuple; a Document is"),
    ],
)
def test_what_a_training_is_ended_by(tmp_path, mistake, document_57, message):
    with pytest.raises(UserError, match=message):
        train_run(recipe(mistake, document_57), tmp_path / "run", tell=lambda line: None)


@pytest.mark.parametrize("document_57", ["bad", "ValueError"])
def test_a_value_error_means_that_a_document_is_skipped_and_counted(tmp_path, document_57):
    train_run(recipe("", document_57), run := tmp_path / "run", tell=lambda line: None)
    reason = {"bad": "bad line", "ValueError": "no such file"}[document_57]
    assert f"readings[57] skipped: {reason}" in (run / "stream.json").read_text()


@pytest.fixture(scope="module")
def sampler(tmp_path_factory):
    train_run(recipe(), run := tmp_path_factory.mktemp("run") / "run", tell=lambda line: None)
    return Sampler(Pretrained.load(run))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("odd", r"^streams\.sensor: its encoder cannot read a str: KeyError: 'odd line'"),
        ("bad", r"^streams\.sensor: bad line"),
        (np.zeros(7), r"^streams\.sensor: Pairs\.encode\(\) fails at items of shape \[1, 7\]"),
    ],
)
def test_a_prompt_that_the_encoder_cannot_use(sampler, data, message):
    asked = [Request((Continuous(data, target=False, stream="sensor"),))]
    with pytest.raises(UserError, match=message):
        sampler.generate(asked, SamplingSettings(max_tokens=1, max_items=0))


def test_requests_that_are_none(sampler):
    for spans in ("reading 3", Text("reading 3")):
        with pytest.raises(
            UserError, match=r'spans are no tuple but .*; write \(Text\("a door"\),\)'
        ):
            Request(spans)
    for spans in ((Text("a"), "reading 3"), [Text("a"), Text(3)]):
        with pytest.raises(UserError, match=r"span 1 is .*; write a Text of a str"):
            Request(spans)
    with pytest.raises(UserError, match="a single Request; give a list"):
        sampler.generate(Request((Text("reading 3"),)))
    for opens in (True, False):
        with pytest.raises(UserError, match="no stream 'sensr' here, only sensor"):
            sampler.generate([Request((Text("reading 3"),), opens=opens, stream="sensr")])
