"""Every parameter says what it is, and the optimizers act on that alone."""

import pytest
import torch
from torch import nn

from chiasm.batch.streams import Streams, StreamShape
from chiasm.errors import UserError
from chiasm.model.decoder import Decoder
from chiasm.model.settings import ModelSettings
from chiasm.roles import Role, parameter_roles
from chiasm.vision.encoder import RaeEncoder
from chiasm.vision.learning.fit import Fit, Losses, Stage
from chiasm.vision.learning.settings import FitSettings
from chiasm.vision.settings import EncoderSettings
from chiasm.vision.tokenizer import seeded

MOE = {"experts": "moe", "moe": {"num_experts": 8, "granularity": 4, "shared_experts": "modality"}}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"experts": "modality", "attention_weights": "modality"},
        MOE | {"time_conditioning": "adaptive", "qk_norm": True},
        {"item_positions": "sinusoidal", "experts": "dense"},
    ],
)
def test_every_parameter_of_a_decoder_has_the_role_that_its_use_says(changes):
    settings = ModelSettings(width=32, depth=2, query_heads=2, key_value_heads=1, **changes)
    streams = Streams(
        (
            StreamShape("image", "vision", (2, 2), 4),
            StreamShape("seen", "vision", (2, 2), 6, context_of="image"),
            StreamShape("series", "motion", (4,), 3),
        )
    )
    decoder = Decoder(settings, vocabulary=20, streams=streams)
    roles = parameter_roles(decoder)
    assert roles.keys() == dict(decoder.named_parameters()).keys()
    for name, role in roles.items():
        last = name.rpartition(".")[2]
        if last.endswith("gain"):
            assert role is Role.GAIN, name
        elif last in ("token_embedding", "row", "column", "axis0", "modulation"):
            assert role is Role.TABLE, name
        elif last in ("gate_up", "down") or name.endswith(("qkv.weight", "out.weight")):
            inside = name.startswith("blocks.")
            assert role is (Role.HIDDEN if inside else Role.MATRIX), name
        else:
            assert role is Role.MATRIX, name


def test_a_parameter_without_a_role_is_told():
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(3))

    with pytest.raises(UserError, match=r"Scaled.roles says nothing of 'scale' \(0.scale\)"):
        parameter_roles(nn.Sequential(Scaled()))
    Scaled.roles = {"scale": "gain"}
    with pytest.raises(UserError, match=r"roles says 'gain', which is no Role, of 'scale'"):
        parameter_roles(nn.Sequential(Scaled()))
    assert parameter_roles(nn.Sequential(Scaled().requires_grad_(False))) == {}


class Still(Stage):
    """An encoder that nothing pulls anywhere."""

    def __init__(self) -> None:
        super().__init__()
        shape = EncoderSettings(image_pixels=32, channels=8, widths=(8, 8, 12))
        self.encoder = seeded(0, RaeEncoder, shape)

    def losses(self, draw) -> Losses:
        return Losses({"nothing": sum(0.0 * p.sum() for p in self.parameters())})


def test_tokenizers_decay_matrices_and_no_table_of_places(tmp_path):
    stage = Still()
    before = {name: p.detach().clone() for name, p in stage.named_parameters()}
    settings = FitSettings(steps=4, learning_rate=0.1, warmup_steps=0, weight_decay=0.5)
    fit = Fit("still", stage, 512, settings, seed=0, folder=tmp_path, identity="still")
    fit.run(tmp_path)
    moved = {name for name, p in stage.named_parameters() if not torch.equal(p, before[name])}
    roles = parameter_roles(stage)
    assert moved == {name for name, role in roles.items() if role is Role.MATRIX}
    assert "encoder.place_PD" not in moved
