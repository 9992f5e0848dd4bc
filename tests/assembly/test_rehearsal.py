"""What sampling will run is tried before the first step, and its mistake told with its line."""

from typing import ClassVar, Literal

import pytest
import torch
from torch import nn

from chiasm.assembly.rehearsal import rehearse
from chiasm.batch.streams import Streams
from chiasm.documents import Continuous
from chiasm.errors import UserError
from chiasm.model.attention import GroupedAttention
from chiasm.model.decoder import Decoder
from chiasm.model.kinds import GroupedSettings
from chiasm.model.settings import ATTENTIONS, ModelSettings
from chiasm.roles import Role
from chiasm.tokenizers.parts import Decoder as LatentDecoder
from chiasm.tokenizers.parts import Encoder
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.tokenizers.tokenizer import Tokenizer

START = 0.3


class Tempered(GroupedAttention):
    roles: ClassVar = {**GroupedAttention.roles, "temperature": Role.GAIN}

    def __init__(self, settings, modalities, mistake):
        if mistake == "cannot be built":
            raise KeyError("no such head")
        super().__init__(settings, modalities)
        self.temperature = nn.Parameter(torch.tensor(START))
        self.mistake = mistake
        if mistake == "wrong cache":
            self.cached = ((1, 3),) * 2
        if mistake == "no flops":
            del self.pair_flops

    def forward(self, x_BTD, rotary_BTK, mask, past=None, by_modality=None):
        if self.mistake == "wrong width":
            x_BTD = x_BTD[..., 1:]
        forgotten = None if self.mistake == "no past" else past
        if self.mistake == "forgets":
            x_BTD = x_BTD * (1 if past is None else 2)
        return super().forward(x_BTD, rotary_BTK, mask, forgotten, by_modality)


@ATTENTIONS.register
class TemperedSettings(GroupedSettings):
    kind: Literal["tempered"] = "tempered"
    mistake: str = ""

    def build(self, model, modalities):
        return Tempered(model, modalities, self.mistake)


def decoder(mistake="", streams=None):
    settings = ModelSettings.model_validate(
        {
            **{"width": 16, "depth": 2, "query_heads": 2, "key_value_heads": 1},
            "attention": {"kind": "tempered", "mistake": mistake},
        }
    )
    return Decoder(settings, vocabulary=20, streams=streams or Streams())


def test_a_gain_keeps_the_value_of_its_module():
    gains = [block.attention.temperature for block in decoder().blocks]
    assert [gain.item() for gain in gains] == pytest.approx([START] * 2)


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (
            "wrong width",
            r"'tempered' Tempered fails: RuntimeError: .*rehearsal.py, line \d+\)",
        ),
        (
            "wrong cache",
            r"Tempered fails where it has a cache: RuntimeError: .* let past\.extend take",
        ),
        ("no past", r"Tempered fails where it has a cache: .* let past\.extend take"),
        ("no flops", r"'tempered' Tempered fails: AttributeError"),
        ("forgets", r"Tempered gives other vectors with its cache than when all is read at once"),
    ],
)
def test_an_attention_that_cannot_be_sampled_is_refused(mistake, message):
    with pytest.raises(UserError, match=message):
        rehearse(decoder(mistake), StreamTokenizers({}))


def test_an_attention_that_cannot_be_built_is_told_with_its_line():
    message = r"^model\.attention\.kind = 'tempered' fails in TemperedSettings\.build\(\): KeyErr"
    with pytest.raises(UserError, match=message + r".*rehearsal\.py, line \d+\)"):
        decoder("cannot be built")


class Waves(Encoder, LatentDecoder, kind="rehearsed-waves"):
    modality, grid, channels = "sensor", (4,), 2

    def __init__(self, mistake):
        super().__init__()
        self.mistake = mistake

    def read(self, data):
        return torch.as_tensor(data, dtype=torch.float32)

    def encode(self, items_B):
        return items_B.unflatten(1, (4, 2))

    def decode(self, raw_BPC):
        return raw_BPC.flatten(1)[:, :-1] if self.mistake == "shape" else raw_BPC.flatten(1)

    def span(self, item, stream):
        return None if self.mistake == "no span" else Continuous(item.numpy(), False, stream)


@pytest.mark.parametrize("mistake", ["shape", "no span"])
def test_a_decoder_that_gives_no_items_is_refused(mistake):
    waves = Waves(mistake)
    tokenizers = StreamTokenizers({"waves": Tokenizer("waves", waves, waves)})
    with pytest.raises(UserError, match=r"streams\.waves Waves gives no item that can be read"):
        rehearse(decoder(streams=tokenizers.streams), tokenizers)


def test_nothing_is_refused_that_works():
    waves = Waves("")
    tokenizers = StreamTokenizers(
        {"waves": Tokenizer("waves", waves, waves), "read": Tokenizer("read", Waves("shape"))}
    )
    rehearse(decoder(streams=tokenizers.streams), tokenizers)
