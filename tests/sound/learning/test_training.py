import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from chiasm.cli import app
from chiasm.errors import UserError
from chiasm.sound.kinds import VocoderTokenizerSettings
from chiasm.sound.learning.settings import SoundTrainingSettings
from chiasm.sound.learning.training import train_from_settings
from chiasm.tokenizers.storage import load_tokenizer
from chiasm.toml import as_toml, parse_settings


def settings(data: Path, **more: object) -> SoundTrainingSettings:
    content = {
        "source": {"kind": "audio_text", "path": str(data), "held_out_fraction": 0.3},
        "mel": {"rate": 8000, "seconds": 0.26, "hop_samples": 104, "mels": 24},
        "decoder": {"width": 16, "depth": 1},
        "fit": {"steps": 20, "sounds_per_step": 4, "warmup_steps": 2, "checkpoint_steps": 10},
    }
    return parse_settings(SoundTrainingSettings, content | more)


@pytest.mark.slow
def test_training_lowers_the_loss_and_a_run_reads_its_folder(tmp_path: Path, sounds) -> None:
    data = sounds.folder(tmp_path / "chirps", 16)
    asked = settings(data, fit={"steps": 60, "sounds_per_step": 4, "warmup_steps": 5})
    lines = []
    made = train_from_settings(
        asked, tmp_path / "made", progress=lambda *told: lines.append(told[-1]), tell=print
    )
    assert lines[-1]["log_magnitude"] < 0.8 * lines[0]["log_magnitude"]
    opened = VocoderTokenizerSettings(path=str(tmp_path / "made")).open()
    given = torch.from_numpy(sounds.chirp(2080, 8000, 5))[None, None]
    latents = made.encode(given)
    assert torch.equal(opened.encode(given), latents)
    assert torch.equal(opened.decode(latents), made.decode(latents))
    record = json.loads((tmp_path / "made/description.json").read_text())["record"]
    assert record["figures"]["held_out_sounds"] >= 1
    assert record["figures"]["log_spectral_distance_decibels"] > 0
    assert {"probe/words", "drawn_probe/words", "majority/words"} <= record["figures"].keys()
    assert record["training_sounds"] + record["figures"]["held_out_sounds"] == 16
    assert not (tmp_path / "made/vocoder/checkpoints").exists()
    longer = VocoderTokenizerSettings(path=str(tmp_path / "made"), seconds=0.52).open()
    assert longer.grid == (2 * opened.grid[0],)
    both = torch.cat((latents, latents), dim=1)
    middle = slice(0, 1040)  # the rest hears the border
    assert torch.allclose(
        longer.decode(both)[..., middle], opened.decode(latents)[..., middle], atol=1e-4
    )
    with pytest.raises(UserError, match=r"seconds = 0\.3.*choose seconds = 0\.312"):
        VocoderTokenizerSettings(path=str(tmp_path / "made"), seconds=0.3).open()


@pytest.mark.slow
def test_an_interrupted_training_gives_the_same_weights(tmp_path: Path, sounds) -> None:
    data = sounds.folder(tmp_path / "chirps", 12)

    class Interrupted(Exception):
        pass

    def interrupt(stage: str, done: int, of: int, losses: object) -> None:
        if done == 13:
            raise Interrupted

    whole = train_from_settings(settings(data), tmp_path / "whole", tell=print)
    with pytest.raises(Interrupted):
        train_from_settings(settings(data), tmp_path / "cut", progress=interrupt, tell=print)
    resumed = train_from_settings(settings(data), tmp_path / "cut", tell=print)
    for name, tensor in whole.weights.items():
        assert torch.equal(tensor, resumed.weights[name])
    with pytest.raises(UserError, match="already holds a tokenizer of other settings"):
        train_from_settings(settings(data, noise=0.2), tmp_path / "cut", tell=print)
    again = train_from_settings(settings(data), tmp_path / "cut", tell=print)
    assert again.fingerprint == resumed.fingerprint


@pytest.mark.slow
def test_the_command_trains_on_sounds_without_words(tmp_path: Path, sounds) -> None:
    data = sounds.folder(tmp_path / "chirps", 8)
    (data / "metadata.jsonl").unlink()
    (data / "0.wav").write_bytes(b"no sound")
    recipe = tmp_path / "vocoder.toml"
    recipe.write_text(as_toml(settings(data).model_dump(mode="json", exclude_none=True)))
    out = tmp_path / "made"
    result = CliRunner().invoke(app, ["sound", "train", str(recipe), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert f'kind = "vocoder" and path = "{out}"' in result.output
    assert "probe/words" not in (out / "description.json").read_text()
    assert load_tokenizer(out).modality == "sound"


def test_what_has_no_sounds_is_refused(tmp_path: Path, sounds) -> None:
    with pytest.raises(UserError, match=r"source\.kind = 'text' has no sounds"):
        train_from_settings(settings(tmp_path, source={"kind": "text", "path": "x"}), tmp_path)
    with pytest.raises(UserError, match=r"path = '' is missing"):
        VocoderTokenizerSettings().open()
    one = sounds.folder(tmp_path / "one", 2)
    with pytest.raises(UserError, match="has 1 sounds; give at least 2"):
        train_from_settings(settings(one), tmp_path / "out", tell=print)
    assert not np.any([path.suffix == ".safetensors" for path in tmp_path.rglob("*")])
