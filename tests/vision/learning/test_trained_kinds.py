"""Every kind of tokenizer that is trained here: resumed, saved, opened again, and learning."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from chiasm.errors import UserError
from chiasm.rgb import ImageShape
from chiasm.tokenizers.settings import TOKENIZERS, open_tokenizer
from chiasm.tokenizers.statistics import LatentStatistics
from chiasm.tokenizers.storage import load_tokenizer
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.vision.kinds import PixelSettings
from chiasm.vision.kl_autoencoder import Autoencoder
from chiasm.vision.learning.fit import Fit
from chiasm.vision.learning.pictures import Pictures
from chiasm.vision.learning.reconstruction import DecoderStage, VariationalStage
from chiasm.vision.learning.settings import TokenizerTrainingSettings
from chiasm.vision.learning.training import train_tokenizer
from chiasm.vision.tokenizer import seeded

FIT = {"steps": 5, "pictures_per_step": 16, "checkpoint_steps": 2, "warmup_steps": 2}
VIT = {"kind": "vit", "width": 32, "depth": 1, "heads": 2, "patch_pixels": 8}
ENCODER = {"image_pixels": 32, "channels": 16, "widths": (8, 16, 32)}
RECONSTRUCTION = {
    "fit": FIT,
    "sample_steps": 3,
    "adversarial": {"weight": 0.5, "start_step": 2, "width": 8},
}
KINDS = {
    "self-supervised rae": {
        "objective": "self_supervised",
        "self_supervised": {"fit": FIT},
        "encoder": ENCODER,
        "decoder": VIT,
    },
    "decoder of frozen latents": {"frozen": {"path": "frozen"}, "decoder": VIT},
    "vae": {"kind": "vae", "vae": {"image_pixels": 32, "width": 8, "channels": 2}},
    "vae with a frozen judge": {
        "kind": "vae",
        "vae": {"image_pixels": 32, "width": 8, "channels": 2, "downsampling": 4},
        "frozen": {"path": "frozen"},
    },
}


def settings_of(kind: str, **more) -> TokenizerTrainingSettings:
    given = {"name": "mine", "reconstruction": RECONSTRUCTION, **KINDS[kind], **more}
    return TokenizerTrainingSettings.model_validate(given)


@pytest.fixture(scope="module")
def plain(train_scenes) -> tuple[Pictures, Pictures]:
    """Pictures without captions or ground truth."""
    pixels = train_scenes.pixels_MHW3
    return tuple(
        Pictures(pixels[part], [()] * len(pixels[part]), f"plain {part.start}")
        for part in (slice(0, 64), slice(64, 80))
    )


@pytest.fixture(scope="module")
def frozen_folder(tmp_path_factory, plain) -> Path:
    folder = tmp_path_factory.mktemp("frozen")
    train_tokenizer(settings_of("self-supervised rae"), *plain, folder)
    return folder


class Stop(Exception):
    pass


def trained_stages(settings: TokenizerTrainingSettings) -> list[str]:
    if settings.kind == "vae":
        return ["vae"]
    return ["decoder"] if settings.frozen else ["encoder", "decoder"]


def files_but_the_clocks(folder: Path) -> set[Path]:
    """All that follows from the settings: timing.jsonl does not, and TensorBoard repeats it."""
    files = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    return {path for path in files if not {"timing.jsonl", "tensorboard"} & set(path.parts)}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_resumed_saved_and_opened_again(tmp_path, plain, frozen_folder, kind) -> None:
    settings = settings_of(kind)
    frozen = load_tokenizer(frozen_folder) if settings.frozen else None
    whole = tmp_path / "whole"
    tokenizer = train_tokenizer(settings, *plain, whole, frozen=frozen)

    def interrupt(stage: str, done: int, total: int, losses: dict[str, float]) -> None:
        if (stage, done) == (stages[0], 3):
            raise Stop

    stopped = tmp_path / "stopped"
    stages = trained_stages(settings)
    while stages:
        with pytest.raises(Stop):
            train_tokenizer(settings, *plain, stopped, frozen=frozen, progress=interrupt)
        stages.pop(0)
    stages.append("none")
    train_tokenizer(settings, *plain, stopped, frozen=frozen)
    files = files_but_the_clocks(whole)
    assert files == files_but_the_clocks(stopped)
    for file in files:
        assert (whole / file).read_bytes() == (stopped / file).read_bytes(), file

    opened = open_tokenizer(TOKENIZERS.of(settings.kind)(path=str(whole)))
    images = plain[1].batch(np.arange(8))
    latents = tokenizer.encode(images)
    assert torch.equal(opened.encode(images), latents)
    assert torch.equal(opened.decode(latents), tokenizer.decode(latents))
    assert opened.fingerprint == tokenizer.fingerprint
    on_train = opened.encode(plain[0].batch(np.arange(64)))
    assert on_train.mean(dim=(0, 1)).abs().max() < 1e-3
    assert (on_train.std(dim=(0, 1), unbiased=False) - 1).abs().max() < 1e-3


@pytest.fixture(scope="module")
def redecoded(tmp_path_factory, plain, frozen_folder) -> tuple[Tokenizer, Path]:
    folder = tmp_path_factory.mktemp("redecoded")
    frozen = load_tokenizer(frozen_folder)
    settings = settings_of("decoder of frozen latents", seed=1)
    return train_tokenizer(settings, *plain, folder, frozen=frozen), folder


def test_a_decoder_leaves_its_frozen_tokenizer_as_it_was(redecoded, frozen_folder, plain) -> None:
    tokenizer, folder = redecoded
    before = load_tokenizer(frozen_folder)
    kept, frozen = load_tokenizer(folder).weights, before.weights
    assert kept.keys() == frozen.keys()
    assert all(torch.equal(kept[n], frozen[n]) for n in frozen if n.startswith("encoder."))
    images = plain[1].batch(np.arange(8))
    assert torch.equal(tokenizer.encoder.features(images), before.encoder.features(images))
    assert not torch.equal(
        tokenizer.decode(tokenizer.encode(images)), before.decode(before.encode(images))
    )


def test_the_log_and_the_samples(redecoded) -> None:
    _, folder = redecoded
    lines = (folder / "decoder" / "metrics.jsonl").read_text().splitlines()
    last = json.loads(lines[-1])
    assert last["step"] == 5
    assert {"l1", "features", "discriminator", "adversarial", "adversarial_weight"} < last.keys()
    record = json.loads((folder / "description.json").read_text())["record"]
    assert record["losses"] == {"decoder": last}
    assert {"gradient_norm", "gradient_norm/opponent", "learning_rate"} < last.keys()
    names = sorted(path.name for path in (folder / "samples").iterdir())
    assert names == ["decoder-000003.png", "decoder-000005.png"]


def test_samples_show_the_truth_above_what_was_drawn(redecoded, plain) -> None:
    tokenizer, folder = redecoded
    grid = np.asarray(Image.open(folder / "samples" / "decoder-000005.png"))
    assert grid.shape == (2 * 32, 8 * 32, 3)
    shown = plain[1].spread(8)
    for number in range(8):
        column = grid[:, number * 32 : (number + 1) * 32]
        assert np.array_equal(column[:32], shown.pixels_MHW3[number])
    drawn = tokenizer.decode(tokenizer.encode(shown.batch(np.arange(8))))
    found = torch.from_numpy(grid[32:, :32].copy()).permute(2, 0, 1).float() / 255
    torch.testing.assert_close(found, drawn[0], atol=0.02, rtol=0)  # weights are kept in float16


@pytest.mark.slow
def test_a_few_steps_reduce_the_loss(tmp_path, plain) -> None:
    train = plain[0].select(np.arange(16))
    steps = {"steps": 70, "pictures_per_step": 16, "warmup_steps": 5, "learning_rate": 3e-3}
    plain_loss = {"fit": steps, "adversarial": {}}
    shape = {"image_pixels": 32, "width": 8, "channels": 4}
    vae = settings_of("vae", vae=shape, reconstruction=plain_loss)
    rae = settings_of("self-supervised rae", reconstruction=plain_loss)

    def pooled(images: torch.Tensor) -> torch.Tensor:
        """A frozen encoder of 2 x 2 tokens: quarters of the picture, coarsely."""
        coarse = functional.avg_pool2d(images, 4) * 2 - 1
        return functional.pixel_unshuffle(coarse, 4).flatten(2).mT

    neutral = LatentStatistics.neutral(48, 0.0, 1.0, "pooled", "RGB")
    stages = {
        "vae": VariationalStage(seeded(0, Autoencoder, vae.vae), None, vae.reconstruction, *plain),
        "decoder": DecoderStage(
            seeded(0, rae.decoder.build, ImageShape(32, 32, 2, 2), neutral),
            pooled,
            rae.reconstruction,
            *plain,
        ),
    }
    for name, stage in stages.items():
        stage.pictures = train
        fit = Fit(name, stage, 16, stage.settings.fit, 0, tmp_path, "it")
        seen: list[float] = []
        fit.run(tmp_path / name, lambda report, seen=seen: seen.append(report.losses["l1"]))
        grey = float((train.batch(np.arange(16)) - 0.5).abs().mean())
        assert np.mean(seen[-5:]) < 0.5 * np.mean(seen[:2]), name
        assert np.mean(seen[-5:]) < 0.7 * grey, name


def test_pictures_without_captions_are_refused_where_they_are_needed(tmp_path, plain) -> None:
    settings = settings_of("self-supervised rae", objective="contrastive")
    with pytest.raises(UserError, match=r"plain 0 has pictures without.*self_supervised"):
        train_tokenizer(settings, *plain, tmp_path)


def test_an_adversary_that_never_begins_is_refused() -> None:
    with pytest.raises(ValueError, match=r"start_step = 9 leaves nothing of fit.steps = 5"):
        settings_of(
            "vae", reconstruction={"fit": FIT, "adversarial": {"weight": 1, "start_step": 9}}
        )


def test_settings_that_do_not_fit_the_frozen_tokenizer_are_refused(
    tmp_path, plain, frozen_folder
) -> None:
    frozen = load_tokenizer(frozen_folder)
    larger = settings_of("vae with a frozen judge", vae={"image_pixels": 64})
    with pytest.raises(UserError, match=r"vae.image_pixels = 64, but the frozen .* 32 pixels"):
        train_tokenizer(larger, *plain, tmp_path, frozen=frozen)
    coarse = settings_of("decoder of frozen latents", decoder={**VIT, "patch_pixels": 5})
    with pytest.raises(UserError, match=r"decoder\.patch_pixels = 5 does not divide"):
        train_tokenizer(coarse, *plain, tmp_path, frozen=frozen)
    assert not any(tmp_path.iterdir())


def test_a_convolutional_decoder_needs_its_own_cells(plain, tmp_path) -> None:
    pixels = open_tokenizer(PixelSettings(image_pixels=32, patch_pixels=8))
    settings = settings_of("decoder of frozen latents", decoder={"kind": "convolutional"})
    with pytest.raises(UserError, match=r'8 x 8; set decoder.kind = "vit"'):
        train_tokenizer(settings, *plain, tmp_path, frozen=pixels)
