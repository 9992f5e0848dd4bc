"""Saved models come back whole, and anything less is refused with one message."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import chiasm
from chiasm.actions import ActionFormat
from chiasm.documents import Image, Text
from chiasm.errors import UserError
from chiasm.flow import StreamFlow
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import Request, SamplingSettings
from chiasm.inference.sampler import Sampler
from chiasm.inference.walks import WalkDocuments

QUICK = SamplingSettings(steps=2, max_tokens=8, temperature=0)


@pytest.fixture
def saved(pretrained: Pretrained, tmp_path: Path) -> Path:
    pretrained.save(tmp_path / "model")
    return tmp_path / "model"


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_round_trip_keeps_everything(pretrained: Pretrained, saved: Path, picture: Image) -> None:
    loaded, shape = Pretrained.load(saved), pretrained.decoder.shapes["image"]
    assert loaded.flow == pretrained.flow
    assert loaded.decoder.settings == pretrained.decoder.settings
    assert loaded.context_positions == pretrained.context_positions
    assert loaded.shift(shape) == pretrained.shift(shape) == 2.0
    for name, tensor in pretrained.decoder.state_dict().items():
        assert torch.equal(loaded.decoder.state_dict()[name], tensor)
    request = Request((picture, Text("caption:")), opens=True)
    [before], [after] = (Sampler(p).generate([request], QUICK) for p in (pretrained, loaded))
    assert [span.text for span in before[1:]] == [span.text for span in after[1:]]
    assert (before[0].pixels() == after[0].pixels()).all()


def test_a_head_in_the_middle_comes_back_and_older_models_have_none(
    build: Callable[..., Pretrained], tmp_path: Path
) -> None:
    own, plain = build(inner={"block": 1}), build()
    for name, model in (("own", own), ("plain", plain)):
        model.save(tmp_path / name)
    loaded = Pretrained.load(tmp_path / "own").decoder
    assert loaded.inner_head.guides
    assert torch.equal(loaded.inner_head.norm.gain, own.decoder.inner_head.norm.gain)
    config = tmp_path / "plain" / "config.json"
    content = json.loads(config.read_text())
    assert content["model"].pop("inner") is None
    config.write_text(json.dumps(content))
    assert Pretrained.load(tmp_path / "plain").decoder.inner_head is None


def test_the_default_shift_is_that_of_training(build: Callable[..., Pretrained]) -> None:
    pretrained = build()
    shape = pretrained.decoder.shapes["image"]
    own = pretrained.flow.model_copy(update={"shift": None})
    default = replace(pretrained, flow=own)
    assert default.shift(shape) == 1.0  # small latents: never below 1
    apart = own.model_copy(update={"streams": {"image": StreamFlow(shift=1.5)}})
    assert replace(pretrained, flow=apart).shift(shape) == 1.5


def test_a_stream_that_the_model_has_not_is_told(pretrained: Pretrained) -> None:
    with pytest.raises(UserError, match=r"no stream 'series' here, only image; .*streams\.series"):
        pretrained.shift(pretrained.decoder.shapes["series"])


def test_two_streams_of_pictures_come_back(
    build: Callable[..., Pretrained], picture: Image, tmp_path: Path
) -> None:
    pretrained = build(seen_pixels=12)
    pretrained.save(tmp_path / "model")
    loaded = Pretrained.load(tmp_path / "model")
    assert loaded.decoder.shapes == pretrained.decoder.shapes
    assert loaded.decoder.shapes["seen"].context_of == "image"
    for name, own in pretrained.tokenizers.items():
        assert loaded.tokenizers[name].fingerprint == own.fingerprint
    request = Request((picture, Text("caption:")), opens=True)
    [before], [after] = (Sampler(p).generate([request], QUICK) for p in (pretrained, loaded))
    assert [span.text for span in before[1:]] == [span.text for span in after[1:]]
    assert (before[0].pixels() == after[0].pixels()).all()


def test_what_actions_were_like_is_kept(pretrained: Pretrained, tmp_path: Path) -> None:
    own = replace(
        pretrained,
        actions=ActionFormat(style="keys"),
        walks=WalkDocuments(views=4, horizon_frames=(-2, 8), instruction_views=3),
    )
    own.save(tmp_path / "keys")
    loaded = Pretrained.load(tmp_path / "keys")
    assert (loaded.actions, loaded.walks) == (own.actions, own.walks)


def test_a_run_is_opened_by_its_model_folder(saved: Path) -> None:
    assert chiasm.load(str(saved.parent)).context_positions == 96


def test_all_files_are_for_the_same_readers(saved: Path) -> None:
    modes = {path.stat().st_mode for path in saved.iterdir() if path.is_file()}
    assert len(modes) == 1


def test_saving_again_replaces_and_leaves_nothing_behind(
    saved: Path, build: Callable[..., Pretrained]
) -> None:
    build(seed=1, context_positions=64).save(saved)
    assert Pretrained.load(saved).context_positions == 64
    assert [path.name for path in saved.parent.iterdir()] == ["model"]


def test_a_folder_of_something_else_is_not_replaced(pretrained: Pretrained, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="holds no model"):
        pretrained.save(tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def test_what_cannot_be_written_is_told(pretrained: Pretrained, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        pretrained.save(tmp_path / "file" / "model")


@pytest.mark.parametrize(
    "name", ["model.safetensors", "tokenizer.json", "streams/image/description.json"]
)
def test_a_missing_file_is_named(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(UserError, match=Path(name).name):
        Pretrained.load(saved)


def test_a_half_written_model_is_no_model(saved: Path) -> None:
    (saved / "config.json").unlink()
    with pytest.raises(UserError, match=r"holds no model.*chiasm train again"):
        Pretrained.load(saved)


@pytest.mark.parametrize("damage", [lambda b: b[:-100], lambda b: b[:-1] + bytes([b[-1] ^ 1])])
def test_damaged_weights_are_refused(saved: Path, damage: Callable[[bytes], bytes]) -> None:
    path = saved / "model.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match="damaged or half-written"):
        Pretrained.load(saved)


def test_weights_of_another_shape_are_refused(saved: Path) -> None:
    settings = json.loads((saved / "config.json").read_text())["model"]
    edit_config(saved, model=settings | {"depth": 3})
    with pytest.raises(UserError, match=r"does not fit the settings.*blocks\.2"):
        Pretrained.load(saved)


def test_weights_of_another_model_are_refused(saved: Path) -> None:
    path = saved / "model.safetensors"
    weights = load_file(path)
    save_file({name: tensor + 1 for name, tensor in weights.items()}, path)
    with pytest.raises(UserError, match="hash"):
        Pretrained.load(saved)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"model_type": "llama"}', "format None"),
        ('{"format": 99}', "format 99"),
        ('{"format": 1}', "format 1; this version of chiasm reads 2"),
        ('{"format": 2}', "model: Field required"),
    ],
)
def test_other_configurations_are_refused(saved: Path, text: str, message: str) -> None:
    (saved / "config.json").write_text(text)
    with pytest.raises(UserError, match=message):
        Pretrained.load(saved)


def test_other_tokenizers_are_refused(saved: Path) -> None:
    edit_config(saved, tokenizer_fingerprint="0" * 16)
    with pytest.raises(UserError, match="not the tokenizer that the model was trained with"):
        Pretrained.load(saved)
    streams = json.loads((saved / "config.json").read_text())["streams"]
    streams["image"]["fingerprint"] = "0" * 64
    edit_config(saved, tokenizer_fingerprint=_fingerprint(saved), streams=streams)
    with pytest.raises(UserError, match=r"streams/image is not the tokenizer"):
        Pretrained.load(saved)


def _fingerprint(folder: Path) -> str:
    from chiasm.data.tokenizer import TextTokenizer

    return TextTokenizer.load(folder).fingerprint


def test_names_that_are_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="does not exist"):
        Pretrained.load(tmp_path / "nowhere")
    with pytest.raises(UserError, match="does not exist"):
        Pretrained.load("nowhere")
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)  # a name that looks as one of the hub, in a folder that there is
    with pytest.raises(UserError, match=r"^runs/none does not exist; give a run"):
        Pretrained.load("runs/none")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"'nobody/no-model' is no file or folder here .*connect"):
        Pretrained.load("nobody/no-model")
