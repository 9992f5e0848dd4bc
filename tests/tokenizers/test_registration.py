"""A tokenizer of one's own in one file, named by a recipe as any other."""

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image as PillowImage
from torch import Tensor, nn
from torch.nn import functional

from chiasm.assembly import train_run
from chiasm.batch.packed import ImageShape
from chiasm.inference.pretrained import Pretrained
from chiasm.recipe import parse_recipe
from chiasm.tokenizers.settings import TOKENIZERS, TokenizerSettings
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.vision.tokenizer import PictureDecoder, PictureEncoder


class Mosaic(PictureEncoder, PictureDecoder, kind="mosaic"):
    """The mean colour of each square of 4 x 4 pixels, mixed by a matrix that is trained nowhere."""

    def __init__(self, side: int) -> None:
        super().__init__(ImageShape(4 * side, 4 * side, side, side), channels=3)
        self.side = side
        self.mix_CC = nn.Parameter(torch.tensor([[0.7, 0.3, 0], [0, 0.9, 0.1], [0.3, 0, 0.8]]))

    def features(self, images_B3HW: Tensor) -> Tensor:
        return functional.avg_pool2d(images_B3HW, 4).flatten(2).mT @ self.mix_CC

    def draw(self, raw_BPC: Tensor) -> Tensor:
        colours_BPC = raw_BPC @ torch.linalg.inv(self.mix_CC)
        return functional.interpolate(colours_BPC.mT.unflatten(2, self.grid), scale_factor=4.0)

    def describe(self) -> dict[str, Any]:
        return {"side": self.side}


@TOKENIZERS.register
class MosaicSettings(TokenizerSettings):
    kind: Literal["mosaic"] = "mosaic"
    side: int = 2

    def open(self) -> Tokenizer:
        mosaic = Mosaic(self.side)
        return Tokenizer("mosaic", mosaic, mosaic)


def test_a_run_trains_on_it_and_its_model_is_opened_again(tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), np.uint8)
    for number, pixels in enumerate(pictures):
        PillowImage.fromarray(pixels).save(tmp_path / f"{number}.png")
    lines = [json.dumps({"file_name": f"{number}.png", "text": "noise"}) for number in range(20)]
    (tmp_path / "metadata.jsonl").write_text("\n".join(lines))
    source = {"kind": "image_text", "path": str(tmp_path), "held_out_fraction": 0.3}
    recipe = {
        "name": "mosaic",
        "streams": {"image": {"kind": "mosaic"}},
        "tokenizer": {"vocabulary_tokens": 270},
        "stream": {"row_positions": 32, "rows_per_batch": 2, "sources": {"noise": source}},
        "model": {"width": 16, "depth": 1, "query_heads": 2, "key_value_heads": 1},
        "training": {"steps": 3, "validation_batches": 1, "schedule": {"warmup_steps": 1}},
    }
    run = tmp_path / "run"
    assert train_run(parse_recipe(recipe), run, tell=lambda line: None).finished
    tokenizer = Pretrained.load(run).vision_tokenizer
    assert isinstance(tokenizer.encoder, Mosaic)
    assert torch.equal(tokenizer.encoder.mix_CC, Mosaic(2).mix_CC)
    assert (tokenizer.statistics.data, tokenizer.statistics.count > 0) == ("noise", True)
    coarse = pictures[0].reshape(2, 4, 2, 4, 3).mean((1, 3)).repeat(4, 0).repeat(4, 1)
    drawn = tokenizer.decode(tokenizer.encode(tokenizer.read(pictures[0])[None]))[0]
    np.testing.assert_allclose(tokenizer.payload(drawn), coarse, atol=0.6)
