"""What ranks run in these tests: every stage of a vision tokenizer, trained for some steps.

    python tokenized.py OUT

Of each stage, ``OUT/NAME.pt`` has what rank 0 found: the losses of all steps, the gradients of the
first one, the last weights and buffers. ``OUT/measured.pt`` has what is measured of latents.
"""

import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from chiasm.device import deterministic_on_cpu
from chiasm.ranks import Ranks
from chiasm.rendezvous import open_ranks
from chiasm.rgb import ImageShape
from chiasm.tokenizers.statistics import LatentStatistics, RunningStatistics
from chiasm.vision.convolutional import LinearDecoder
from chiasm.vision.encoder import RaeEncoder
from chiasm.vision.kl_autoencoder import Autoencoder
from chiasm.vision.learning.contrastive import ContrastiveStage
from chiasm.vision.learning.fit import Fit, Stage
from chiasm.vision.learning.pictures import Box, Pictures
from chiasm.vision.learning.reconstruction import (
    DecoderStage,
    VariationalStage,
    solve_linear_decoder,
)
from chiasm.vision.learning.ridge import RidgeRegression
from chiasm.vision.learning.self_supervised import SelfSupervisedStage
from chiasm.vision.learning.settings import TokenizerTrainingSettings
from chiasm.vision.tokenizer import seeded

STEPS, PICTURES = 10, 40
FIT = {"steps": STEPS, "pictures_per_step": 12, "warmup_steps": 3}
ENCODER = {"image_pixels": 32, "channels": 16, "widths": (8, 16, 32)}
ADVERSARIAL = {"weight": 0.5, "start_step": 0, "width": 8}
WORDS = ("red", "green", "blue", "a", "wall", "door")


def drawn_pictures() -> Pictures:
    """Noise, with captions that some share, facts that some lack and objects that some show."""
    rng = np.random.default_rng(0)
    captions, facts, boxes = [], [], []
    for number in range(PICTURES):
        words = [WORDS[n] for n in rng.integers(len(WORDS), size=2)]
        captions.append((" ".join(words), "the same caption"))
        facts.append({"wall": words[0]} if number % 3 else {})
        boxes.append((Box(words[1], 0.1, 0.1, 0.4, 0.8),) if number % 2 else ())
    pixels = rng.integers(0, 256, size=(PICTURES, 32, 32, 3), dtype=np.uint8)
    return Pictures(pixels, captions, "noise", facts, boxes)


def settings_of(**more: Any) -> TokenizerTrainingSettings:
    given = {
        "encoder": ENCODER,
        "contrastive": {"fit": FIT},
        "self_supervised": {"fit": FIT},
        "decoder": {"widths": (32, 16, 8), "blocks": 1},
        "vae": {"image_pixels": 32, "width": 8, "channels": 2},
        "reconstruction": {"fit": FIT},
    }
    return TokenizerTrainingSettings.model_validate(given | more)


def stages(pictures: Pictures) -> dict[str, Callable[[], Stage]]:
    plain = settings_of()
    judged = settings_of(reconstruction={"fit": FIT, "adversarial": ADVERSARIAL})
    encoder = seeded(1, RaeEncoder, plain.encoder)
    neutral = LatentStatistics.neutral(16, 0.0, 1.0, "noise", "RGB")
    frozen = seeded(2, RaeEncoder, plain.encoder).requires_grad_(False)

    def decoder(settings: TokenizerTrainingSettings) -> DecoderStage:
        built = settings.decoder.build(ImageShape(32, 32, 2, 2), neutral)
        return DecoderStage(built, frozen, settings.reconstruction, pictures, pictures)

    def autoencoder(settings: TokenizerTrainingSettings) -> VariationalStage:
        built = Autoencoder(settings.vae)
        return VariationalStage(built, frozen, settings.reconstruction, pictures, pictures)

    return {
        "contrastive": lambda: ContrastiveStage(encoder, plain.contrastive, pictures),
        "self-supervised": lambda: SelfSupervisedStage(encoder, plain.self_supervised, pictures),
        "decoder": lambda: decoder(plain),
        "adversarial decoder": lambda: decoder(judged),
        "vae": lambda: autoencoder(plain),
        "adversarial vae": lambda: autoencoder(judged),
    }


def stir(stage: Stage) -> None:
    """Move every weight: last layers begin at zero, which would hide what is wrong."""
    for name, parameter in stage.named_parameters():
        generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
        with torch.no_grad():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)


def train(name: str, make: Callable[[], Stage], out: Path, ranks: Ranks) -> dict[str, Any]:
    stage = seeded(0, make).train()
    settings = settings_of().reconstruction.fit
    fit = Fit(name, stage, PICTURES, settings, 0, out, name, lambda line: None, ranks)
    if ranks.is_first:
        stir(stage)
    fit.begin()  # the others take the weights of the first rank
    with deterministic_on_cpu(stage.device):
        fit.backward()
        named = stage.named_parameters()
        gradients = {key: own.grad.clone() for key, own in named if own.grad is not None}
        stage.zero_grad()
        reports = [fit.step() for _ in range(STEPS)]
    fit.validate()
    return {
        "values": [dict(report.values) for report in reports],
        "gradients": gradients,
        "weights": stage.state_dict(),
        "equal": ranks.gather([float(own.double().sum()) for own in stage.state_dict().values()]),
    }


def measured(pictures: Pictures, ranks: Ranks) -> dict[str, Any]:
    """What is found on latents, six pictures at once."""
    encoder = seeded(2, RaeEncoder, settings_of().encoder).requires_grad_(False)
    running, ridge = RunningStatistics(16), RidgeRegression(17, 3)
    for images in pictures.batches(6, "cpu", ranks):
        latents = encoder(images)
        running.update(latents)
        flat = latents.flatten(0, 1)
        ridge.update(torch.cat((flat, torch.ones(len(flat), 1)), 1), flat[:, :3].square())
    statistics = running.over(ranks).finish(encoder="it", preprocessing="none", data="noise")
    linear = LinearDecoder(16)
    solve_linear_decoder(linear, encoder, pictures, 0.3, ranks)
    return {
        "mean": torch.tensor(statistics.mean_C),
        "std": torch.tensor(statistics.std_C),
        "count": torch.tensor(statistics.count),
        "ridge": ridge.over(ranks).solve(0.1),
        "linear": linear.convolution.weight.detach(),
    }


def main() -> None:
    out = Path(sys.argv[1])
    torch.set_num_threads(1)
    pictures = drawn_pictures()
    with open_ranks(60.0) as ranks:
        found = {name: train(name, make, out, ranks) for name, make in stages(pictures).items()}
        found["measured"] = measured(pictures, ranks)
    if ranks.is_first:
        for name, numbers in found.items():
            torch.save(numbers, out / f"{name}.pt")


if __name__ == "__main__":
    main()
