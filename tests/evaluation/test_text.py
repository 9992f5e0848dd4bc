"""Bits per byte: of text that tokens give back, and as lm-evaluation-harness counts them."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from chiasm.data.tokenizer import TextTokenizer
from chiasm.documents import Document, Text
from chiasm.evaluation.evaluate import evaluate
from chiasm.evaluation.material import Material, pick
from chiasm.evaluation.run import Run
from chiasm.evaluation.scoring import batches, lossless
from chiasm.evaluation.text import BitsPerByte
from chiasm.model.decoder import Decoder
from chiasm.model.inputs import DecoderInput
from chiasm.model.mask import IntervalMask

WORDS = ("the", "wall", "is", "brick", "and", "floor", "grass")


class Stories:
    """Given texts."""

    name = "stories"

    def __init__(self, texts):
        self._texts = list(texts)

    def __len__(self):
        return len(self._texts)

    def __getitem__(self, index):
        return Document((Text(self._texts[index]),))


def stories(count: int, words=WORDS) -> Stories:
    rng = np.random.default_rng(0)
    return Stories(" ".join(rng.choice(words, 8)) for _ in range(count))


def unknown_words(folder) -> TextTokenizer:
    """Knows seven words; every other is [UNK]."""
    numbers = {word: number for number, word in enumerate(("[UNK]", *WORDS))}
    backend = Tokenizer(models.WordLevel(numbers, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return saved(backend, folder)


def small_letters(folder) -> TextTokenizer:
    """Bytes, of text in small letters."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE({letter: n for n, letter in enumerate(alphabet)}, []))
    backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return saved(backend, folder)


def saved(backend: Tokenizer, folder) -> TextTokenizer:
    backend.save(str(folder / "tokenizer.json"))
    return TextTokenizer.load(folder)


def with_tokenizer(pretrained, tokenizer):
    decoder = Decoder(
        pretrained.decoder.settings,
        vocabulary=tokenizer.vocabulary_size,
        streams=pretrained.tokenizers.streams,
        seed=0,
    )
    return replace(pretrained, text_tokenizer=tokenizer, decoder=decoder.requires_grad_(False))


def measured(pretrained, source, settings):
    material = Material({"s": source}, {"s": source})
    return BitsPerByte().measure(Run(pretrained, material, settings))


@pytest.mark.parametrize(
    ("build", "words"),
    [(unknown_words, ("zebra", "quagga", "okapi")), (small_letters, ("The", "Wall", "IS"))],
)
def test_text_that_the_tokenizer_loses_has_no_bits_per_byte(
    pretrained, settings, tmp_path, build, words
):
    lossy = with_tokenizer(pretrained, build(tmp_path))
    source = stories(20, words)
    evaluation = evaluate(lossy, Material({"s": source}, {"s": source}), settings)
    assert not [row for row in evaluation.rows if row.section == "text"]
    said = evaluation.skipped["text, s"]
    assert "12 of 12 documents of 's' do not come back" in said
    assert "tokenizer.path" in said


def test_what_comes_back_is_measured_and_the_rest_is_told(pretrained, settings, tmp_path):
    partly = with_tokenizer(pretrained, unknown_words(tmp_path))
    known = stories(9)
    texts = [known[n].text for n in range(9)] + ["the wall is zebra and floor", "Grass"]
    found = measured(partly, Stories(texts), settings)
    assert {row.num_items for row in found.rows if row.section == "text"} == {9}
    assert "2 of 11 documents" in found.skipped["text, s"]
    assert "zebra" in found.skipped["text, s"]


def test_nothing_is_said_of_a_tokenizer_that_loses_nothing(pretrained, settings):
    found = measured(
        pretrained, Stories([f"Straße №{n} — 家 {n}\n\n  x" for n in range(5)]), settings
    )
    assert found.skipped == {}
    assert {row.num_items for row in found.rows} == {5}


def test_an_image_between_texts_is_no_loss(pretrained, material):
    items = pick(material.held_out["action_video"], 6)
    assert lossless(items, pretrained.text_tokenizer, "walks") == (items, "")


@torch.inference_mode()
def test_the_harness_figure_is_the_likelihood_of_the_tokens_behind_the_begin_token(
    pretrained, settings
):
    source = stories(6)
    nats, end_nats, num_bytes = 0.0, 0.0, 0
    tokenizer = pretrained.text_tokenizer
    for index in range(6):
        text = source[index].text
        [(_, batch)] = batches([source[index]], pretrained)
        logits = logits_of(pretrained, batch)
        ids = [tokenizer.bod_id, *tokenizer.encode(text), tokenizer.eod_id]
        assert batch.ids_BT[0, : len(ids)].tolist() == ids
        log_p = logits.log_softmax(-1)[range(len(ids) - 1), ids[1:]]
        nats -= float(log_p[:-1].sum())
        end_nats -= float(log_p[-1])
        num_bytes += len(text.encode())
    rows = {row.name: row for row in measured(pretrained, source, settings).rows}
    harness = rows["s: bits per byte without <eod>, as lm-evaluation-harness counts"]
    assert harness.value == pytest.approx(nats / num_bytes / math.log(2), rel=1e-4)
    whole = (nats + end_nats) / num_bytes / math.log(2)
    assert rows["s: bits per byte"].value == pytest.approx(whole, rel=1e-4)


def logits_of(pretrained, batch):
    """[T, V] of a batch of one row without pictures."""
    nothing = pretrained.tokenizers.encode(batch.slots)
    inputs = DecoderInput.from_batch(batch, nothing, {"image": torch.zeros(0)})
    x_BTD = pretrained.decoder(inputs, IntervalMask.from_batch(batch))
    return pretrained.decoder.text_logits(x_BTD[0]).float()
