"""What a folder keeps of published weights, and what becomes of it when they change or go."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from chiasm.errors import UserError
from chiasm.tokenizers.settings import TOKENIZERS, open_tokenizer
from chiasm.tokenizers.statistics import read_statistics, save_statistics
from chiasm.tokenizers.storage import load_tokenizer, save_tokenizer
from chiasm.vision.kinds import RaeSettings

Published = Callable[[str], Path]


@pytest.mark.parametrize(
    "settings",
    [
        {"path": "naflex", "layers": 2, "image_pixels": 40},
        {"path": "rae_encoder", "decoder": "rae"},
        {"path": "rae"},
        {"kind": "vae", "path": "flux_vae", "image_pixels": 32},
    ],
)
def test_a_folder_keeps_a_reference(
    published: Published, tmp_path: Path, settings: dict[str, Any]
) -> None:
    folders = {k: str(published(settings[k])) for k in ("path", "decoder") if k in settings}
    kind = TOKENIZERS.of(settings.get("kind", "rae"))
    tokenizer = open_tokenizer(kind(**settings | folders))
    side = tokenizer.image_shape.height_pixels
    images = torch.randint(256, (4, 3, side, side), dtype=torch.uint8)
    tokenizer.measure(iter([images]), data="noise")
    save_tokenizer(tokenizer, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["description.json"]
    again = load_tokenizer(tmp_path)
    assert again.fingerprint == tokenizer.fingerprint
    assert again.statistics == tokenizer.statistics
    assert torch.equal(again.encode(images), tokenizer.encode(images))


@pytest.fixture
def copied(published: Published, tmp_path: Path) -> tuple[Path, Path]:
    """A vision model of its own, and a tokenizer's folder that refers to it."""
    model, kept = tmp_path / "model", tmp_path / "kept"
    shutil.copytree(published("dinov2"), model)
    save_tokenizer(open_tokenizer(RaeSettings(path=str(model))), kept)
    return model, kept


def test_changed_weights_are_refused(copied: tuple[Path, Path], published: Published) -> None:
    from transformers import Dinov2Model

    model, kept = copied
    changed = Dinov2Model.from_pretrained(model)
    with torch.no_grad():
        changed.embeddings.cls_token.add_(1)
    changed.save_pretrained(model)
    with pytest.raises(
        UserError, match=r"description\.json refers .*weights of path = .* have changed"
    ):
        load_tokenizer(kept)


def test_weights_that_are_gone_are_refused(copied: tuple[Path, Path]) -> None:
    model, kept = copied
    shutil.rmtree(model)
    with pytest.raises(
        UserError,
        match=r"description\.json refers to what cannot be opened as it was .*: path",
    ):
        load_tokenizer(kept)


@pytest.mark.parametrize("missing", ["path", "weights_sha256"])
def test_a_damaged_description_is_refused(copied: tuple[Path, Path], missing: str) -> None:
    _, kept = copied
    description = json.loads((kept / "description.json").read_text())
    del description["encoder"][missing]
    (kept / "description.json").write_text(json.dumps(description))
    with pytest.raises(UserError, match=f"does not describe a tokenizer.*{missing}"):
        load_tokenizer(kept)


def test_statistics_of_a_file_take_the_place_of_measured_ones(
    published: Published, pictures: torch.Tensor, tmp_path: Path
) -> None:
    settings = RaeSettings(path=str(published("dinov2")))
    tokenizer = open_tokenizer(settings)
    save_statistics(tokenizer.measure([pictures], data="noise"), tmp_path / "noise.json")
    from_file = settings.model_copy(update={"statistics": str(tmp_path / "noise.json")})
    assert open_tokenizer(from_file).fingerprint == tokenizer.fingerprint
    assert read_statistics(tmp_path / "noise.json").data == "noise"


@pytest.mark.parametrize(
    ("other", "what"),
    [
        ({"path": "webssl"}, "encoder dinov2"),
        ({"path": "dinov2", "layers": 2}, "encoder dinov2, layer 3 of 3"),
        ({"path": "dinov2", "image_pixels": 40}, "encoder dinov2, .* at 32 pixels"),
        ({"kind": "vae", "path": "sd_vae"}, "encoder dinov2"),
    ],
)
def test_statistics_of_another_encoder_are_refused(
    published: Published,
    pictures: torch.Tensor,
    tmp_path: Path,
    other: dict[str, Any],
    what: str,
) -> None:
    tokenizer = open_tokenizer(RaeSettings(path=str(published("dinov2"))))
    save_statistics(tokenizer.measure([pictures], data="noise"), path := tmp_path / "noise.json")
    other = other | {"path": str(published(other["path"])), "statistics": str(path)}
    with pytest.raises(UserError, match=rf"^statistics = .*{what}.* there"):
        open_tokenizer(TOKENIZERS.of(other.get("kind", "rae"))(**other))


def test_statistics_of_other_preprocessing_are_refused(copied: tuple[Path, Path]) -> None:
    model, kept = copied
    processor = json.loads((model / "preprocessor_config.json").read_text())
    processor["image_mean"] = [0.0, 0.0, 0.0]
    (model / "preprocessor_config.json").write_text(json.dumps(processor))
    with pytest.raises(UserError, match=r"preprocessing RGB .* there"):
        load_tokenizer(kept)
