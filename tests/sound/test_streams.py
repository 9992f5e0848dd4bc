"""A run on sounds and words: it learns, resumes bit by bit, and what it samples is sound."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner, Result

import chiasm
from chiasm.assembly import train_run
from chiasm.cli import app
from chiasm.errors import UserError
from chiasm.loop.metrics import read_metrics
from chiasm.recipe import parse_recipe
from chiasm.waveform import Waveform

STREAMS = {
    "mdct": {"kind": "mdct", "rate": 8000, "seconds": 0.26},
    "mel": {"kind": "mel", "rate": 8000, "seconds": 0.26, "hop_samples": 104, "mels": 24},
}


def trained(folder: Path, data: Path, stream: str, steps: int = 20, **source: object) -> Path:
    table = {"kind": "audio_text", "path": str(data), "held_out_fraction": 0.3, **source}
    recipe = {
        "name": "chirps",
        "streams": {"sound": STREAMS[stream]},
        "tokenizer": {"vocabulary_tokens": 280},
        "stream": {"sequence_length": 64, "batch_size": 2, "sources": {"chirps": table}},
        "model": {"width": 16, "depth": 1, "query_heads": 2, "key_value_heads": 1},
        "training": {"steps": steps, "checkpoint_every_steps": 10, "validation_batches": 1},
    }
    recipe["training"]["schedule"] = {"warmup_steps": 3}
    train_run(parse_recipe(recipe), folder, tell=lambda line: None)
    return folder


def sample(run: Path, *arguments: object) -> Result:
    return CliRunner().invoke(app, ["sample", str(run), *map(str, arguments)])


@pytest.mark.slow
@pytest.mark.parametrize("stream", STREAMS)
def test_a_run_learns_resumes_and_makes_sounds(stream: str, tmp_path: Path, sounds) -> None:
    data = sounds.folder(tmp_path / "chirps", 16)
    run = trained(tmp_path / "run", data, stream)
    files = run / "metrics.jsonl", run / "model/model.safetensors"
    steps = [line for line in read_metrics(files[0]) if line["phase"] == "train"]
    assert any("sound/flow_loss" in line for line in steps)
    before = [file.read_bytes() for file in files]
    shutil.rmtree(run / "checkpoints/step-0000020")
    shutil.rmtree(run / "model")
    trained(tmp_path / "run", data, stream)
    assert [file.read_bytes() for file in files] == before
    model = chiasm.load(run)
    made = model.synthesize("sound: chirp 1", steps=3)
    assert isinstance(made, Waveform)
    assert made.samples_CT.shape == (1, 2080)
    assert made.rate == 8000
    assert np.isfinite(made.samples_CT).all()
    one, other = model.synthesize(["sound: chirp 1"] * 2, steps=3)
    # Of equal seeds, but for the rounding of a batch.
    assert np.abs(one.samples_CT - made.samples_CT).max() < 1e-3 * np.abs(made.samples_CT).max()
    assert np.abs(one.samples_CT - other.samples_CT).max() > 0.01 * np.abs(made.samples_CT).max()
    assert isinstance(model.write((made, "caption:"), max_tokens=4), str)


@pytest.mark.slow
def test_the_command_line_writes_and_reads_files(tmp_path: Path, sounds) -> None:
    data = sounds.folder(tmp_path / "chirps", 16)
    run, out = trained(tmp_path / "run", data, "mdct", task="transcript"), tmp_path / "samples"
    steps = ("--max-tokens", 0, "--solver-steps", 3, "--out", out)
    drawn = sample(run, "--prompt", "speech: chirp 2", "--draw", *steps)
    assert drawn.exit_code == 0, drawn.output
    assert drawn.stdout == f"{out}/seed-0-sound-1.wav\n"
    written, rate = soundfile.read(out / "seed-0-sound-1.wav")
    assert (written.shape, rate) == ((2080,), 8000)
    for file in (out / "seed-0-sound-1.wav", data / "3.wav"):
        item = ("--item", f"sound={file}", "--prompt", "transcript:", "--max-items", 0)
        heard = sample(run, *item, "--max-tokens", 3)
        assert heard.exit_code == 0, heard.output
    longer = tmp_path / "longer.wav"
    longer.write_bytes(sounds.written(sounds.chirp(4000, 8000), 8000))
    refused = sample(run, "--item", f"sound={longer}").exception
    assert isinstance(refused, UserError)
    assert str(refused).startswith(f"--item sound={longer}")
    assert "0.5 seconds, more than the 0.26 of an item" in str(refused)


@pytest.mark.slow
def test_longer_sounds_are_several_items_and_broken_ones_are_counted(
    tmp_path: Path, sounds
) -> None:
    data = sounds.folder(tmp_path / "chirps", 12, samples=4000)
    run = trained(tmp_path / "run", data, "mdct", clip_seconds=0.26)
    assert (run / "model").is_dir()
    with pytest.raises(
        UserError, match=r"has 0\.5\d* seconds, more than .* of an audio_text source"
    ):
        trained(tmp_path / "refused", data, "mdct")
    for number in range(2, 6):
        content = sounds.written(sounds.chirp(4000, 8000, number), 8000, format="FLAC")
        (data / f"{number}.wav").write_bytes(content[: len(content) // 2])  # its header is whole
    told = (
        trained(tmp_path / "other", data, "mdct", clip_seconds=0.26) / "stream.json"
    ).read_text()
    assert "sound cannot be read" not in told
    assert ".wav [0, 2080) cannot be decoded" in told
