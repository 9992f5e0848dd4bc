"""Where published weights are looked for, and what is said when they are not there."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import constants

from chiasm.errors import UserError
from chiasm.tokenizers.settings import open_tokenizer
from chiasm.tokenizers.storage import load_tokenizer, save_tokenizer
from chiasm.vision.kinds import RaeSettings, VaeSettings

Published = Callable[[str], Path]

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub's cache of its own, with the network forbidden."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def fetched(cache: Path, model: Path, inside: str = "") -> Path:
    """Put a model where the hub's client would."""
    repository = cache / "models--owner--name"
    snapshot = repository / "snapshots" / COMMIT / inside
    shutil.copytree(model, snapshot)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    return snapshot


@pytest.mark.slow
def test_a_cached_repository_opens_without_a_network(
    cache: Path, published: Published, tmp_path: Path
) -> None:
    fetched(cache, published("siglip2"))
    tokenizer = open_tokenizer(RaeSettings(path="owner/name"))
    local = open_tokenizer(RaeSettings(path=str(published("siglip2"))))
    assert tokenizer.fingerprint == local.fingerprint
    save_tokenizer(tokenizer, tmp_path / "kept")
    reference = json.loads((tmp_path / "kept" / "description.json").read_text())["encoder"]
    assert (reference["path"], reference["revision"]) == ("owner/name", COMMIT)
    assert load_tokenizer(tmp_path / "kept").fingerprint == tokenizer.fingerprint


@pytest.mark.slow
def test_a_subfolder_of_a_cached_repository(cache: Path, published: Published) -> None:
    fetched(cache, published("sd_vae"), "vae")
    settings = VaeSettings(path="owner/name/vae", image_pixels=32)
    assert open_tokenizer(settings).channels == 16


def test_what_is_not_cached_is_named_with_the_command(cache: Path) -> None:
    with pytest.raises(UserError) as caught:
        open_tokenizer(VaeSettings(path="owner/name/vae"))
    message = str(caught.value)
    for part in (
        "path = 'owner/name/vae'",
        str(cache),
        "HF_HOME",
        "HF_HUB_OFFLINE is set",
        "hf download owner/name --include 'vae/*.json' --include 'vae/*.safetensors'",
    ):
        assert part in message


def test_a_hub_that_does_not_answer_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"the hub cannot be reached.*hf download owner/name"):
        open_tokenizer(RaeSettings(path="owner/name"))


def test_a_half_fetched_repository_counts_as_not_cached(cache: Path, published: Published) -> None:
    snapshot = fetched(cache, published("siglip2"))
    (snapshot / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"not in the hub's cache"):
        open_tokenizer(RaeSettings(path="owner/name"))


@pytest.mark.parametrize("path", ["no-such", "/no/such", "./no/such", "a/b/c/d", "owner/na me"])
def test_what_cannot_be_an_id_is_refused(cache: Path, path: str) -> None:
    with pytest.raises(UserError, match=rf"path = '{path}' is neither a folder nor"):
        open_tokenizer(RaeSettings(path=path))


def copy(published: Published, tmp_path: Path, name: str = "dinov2") -> Path:
    shutil.copytree(published(name), tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize(
    ("gone", "complaint"),
    [
        ("config.json", "neither description.json.*nor the config.json"),
        ("preprocessor_config.json", "has no preprocessor_config.json"),
        ("model.safetensors", "has no weights in safetensors format"),
    ],
)
def test_missing_files_are_named(
    published: Published, tmp_path: Path, gone: str, complaint: str
) -> None:
    model = copy(published, tmp_path)
    (model / gone).unlink()
    with pytest.raises(UserError, match=complaint):
        open_tokenizer(RaeSettings(path=str(model)))


@pytest.mark.parametrize(
    ("file", "content", "complaint"),
    [
        ("config.json", "{", "config.json cannot be read"),
        ("config.json", "[]", "holds no settings"),
        ("config.json", "{}", "does not describe a model of transformers"),
        ("config.json", '{"model_type": "bert"}', "is of type bert; the vision models"),
        ("preprocessor_config.json", "{}", "does not say how pictures are prepared.*image_mean"),
        (
            "preprocessor_config.json",
            '{"image_mean": [0.5], "image_std": [0.5]}',
            "not of three colours",
        ),
        ("model.safetensors", "cut off", "weights of path = .* cannot be read"),
    ],
)
def test_damaged_files_are_named(
    published: Published, tmp_path: Path, file: str, content: str, complaint: str
) -> None:
    model = copy(published, tmp_path)
    (model / file).write_text(content)
    with pytest.raises(UserError, match=complaint):
        open_tokenizer(RaeSettings(path=str(model)))


@pytest.mark.parametrize("wanted", [{"num_hidden_layers": 4}, {"hidden_size": 64}])
def test_weights_that_do_not_fit_the_configuration_are_refused(
    published: Published, tmp_path: Path, wanted: dict[str, int]
) -> None:
    model = copy(published, tmp_path)
    config = json.loads((model / "config.json").read_text()) | wanted
    (model / "config.json").write_text(json.dumps(config))
    message = r"lacks \d+ of the vision model's weights|other shapes than its config\.json says"
    with pytest.raises(UserError, match=message):
        open_tokenizer(RaeSettings(path=str(model)))


def test_a_truncated_decoder_is_refused(published: Published, tmp_path: Path) -> None:
    model = copy(published, tmp_path, "rae")
    weights = model / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    settings = RaeSettings(path=str(published("rae_encoder")), decoder=str(model))
    with pytest.raises(UserError, match=r"the weights of decoder = .* again"):
        open_tokenizer(settings)


def test_a_folder_of_chiasm_is_no_decoder(published: Published, tmp_path: Path) -> None:
    (tmp_path / "description.json").write_text("{}")
    settings = RaeSettings(path=str(published("siglip2")), decoder=str(tmp_path))
    with pytest.raises(UserError, match=r"is a whole tokenizer; set path to it"):
        open_tokenizer(settings)
