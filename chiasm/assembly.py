"""From a recipe to the objects of a run, and from there to a trained model in its folder.

A run folder holds

    recipe.toml     the resolved recipe
    versions.json   what the run was started with: versions, machine, threads, command
    inputs/         the text tokenizer and the vision tokenizer that the run reads through
    metrics.jsonl   losses and counts; timing.jsonl what the clock says; tensorboard/ both
    checkpoints/    training state
    stream.json     what was read: shares, skipped and split documents
    model/          the trained model, when the run has ended
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from chiasm.data import (
    ImageShape,
    Stream,
    StreamReport,
    TextTokenizer,
    build_sources,
    sample_texts,
)
from chiasm.data.pictures import decode_picture
from chiasm.documents import Source
from chiasm.errors import UserError
from chiasm.evaluation.material import Material
from chiasm.inference.pretrained import Pretrained
from chiasm.model import Decoder
from chiasm.recipe import Recipe, check_images, differences, load_toml, resolved, write_recipe
from chiasm.training import Objective, Outcome, StepReport, Trainer, Validation
from chiasm.training.device import choose_device
from chiasm.training.validation import VALIDATION_SEED
from chiasm.training.versions import versions
from chiasm.vision.build import build_vision_tokenizer
from chiasm.vision.storage import load_tokenizer, save_tokenizer
from chiasm.vision.tokenizer import VisionTokenizer
from chiasm.worlds import Split, render_worlds

MEASURED_PICTURES = 1024
"""Training pictures that the statistics of a `pixels` tokenizer are measured on."""

Stage = Callable[[str, int, int], None]
"""Told about slow preparations: (what, done, of)."""


def _silent(what: str, done: int, of: int) -> None:
    pass


@dataclass(frozen=True)
class Inputs:
    """What turns documents into a model's inputs."""

    text_tokenizer: TextTokenizer
    vision_tokenizer: VisionTokenizer


@dataclass(frozen=True)
class Run:
    """Everything that a training run works with."""

    recipe: Recipe
    inputs: Inputs
    stream: Stream
    trainer: Trainer

    @property
    def pretrained(self) -> Pretrained:
        """The model as it is now, with all that its use needs."""
        return Pretrained(
            self.trainer.decoder,
            self.inputs.text_tokenizer,
            self.inputs.vision_tokenizer,
            self.recipe.objective,
            self.recipe.stream.row_positions,
        )


def default_cache_folder() -> Path:
    """Where rendered worlds are kept: $CHIASM_CACHE, else the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("CHIASM_CACHE") or Path(base) / "chiasm")


def open_material(
    recipe: Recipe, cache_folder: Path | None = None, on_stage: Stage = _silent
) -> Material:
    """Both splits of every source; the embedded world is rendered where a source needs it.

    Raises:
        UserError: a source that cannot be opened; those that need no rendering are tried first.
    """
    opened = {split: _open_folders(recipe, split) for split in Split}
    for split in Split:
        opened[split] |= _open_worlds(recipe, split, cache_folder, on_stage)
    # The mixture numbers the sources in the recipe's order, wherever they come from.
    train, held_out = (
        {name: opened[split][name] for name in recipe.stream.sources} for split in Split
    )
    return Material(train, held_out)


def build_inputs(recipe: Recipe, train: Mapping[str, Source]) -> Inputs:
    """The tokenizers that the recipe names, trained or measured on the training sources.

    Raises:
        UserError: a tokenizer that is not there, or does not fit the recipe.
    """
    settings = recipe.tokenizer
    if settings.path:
        text_tokenizer = TextTokenizer.load(settings.path)
    else:
        texts = sample_texts(train, settings.training_characters)
        text_tokenizer = TextTokenizer.train(texts, settings.vocabulary_tokens)
    pictures = _pictures(train, recipe.vision.image_pixels)
    vision = build_vision_tokenizer(recipe.vision, pictures, data=", ".join(train))
    return Inputs(text_tokenizer, vision)


def build_run(
    recipe: Recipe,
    material: Material,
    inputs: Inputs,
    tell: Callable[[str], None] = print,
) -> Run:
    """Stream, model and trainer, ready for their first step."""
    device = choose_device(recipe.training.device)
    vision = inputs.vision_tokenizer.to(device)
    stream = _stream(recipe, material.train, inputs, recipe.seed)
    decoder = Decoder(
        recipe.model,
        vocabulary=inputs.text_tokenizer.vocabulary_size,
        latent_channels=vision.channels,
        seed=recipe.seed,
    ).to(device)
    trainer = Trainer(
        decoder,
        Objective(recipe.objective),
        vision,
        stream,
        _validation(recipe, material.held_out, inputs, device),
        recipe.training,
        seed=recipe.seed,
        tell=tell,
    )
    return Run(recipe, inputs, stream, trainer)


def train_run(
    recipe: Recipe,
    folder: Path,
    *,
    material: Material | None = None,
    cache_folder: Path | None = None,
    fresh: bool = False,
    command: str = "",
    tell: Callable[[str], None] = print,
    on_stage: Stage = _silent,
    on_step: Callable[[StepReport], None] = lambda report: None,
) -> Outcome:
    """Train a recipe in a run folder, going on where an earlier call was stopped or killed.

    Args:
        recipe: what to train.
        folder: the run folder; made when missing.
        material: the recipe's data when it is already open.
        cache_folder: where rendered worlds are kept.
        fresh: delete the run that the folder holds and begin again.
        command: what the user typed, for the record.
        tell: receives one line about anything the user should know.
        on_stage: is told how far slow preparations are.
        on_step: is told each step.

    Raises:
        UserError: a folder that holds something else or another recipe's run, data that cannot be
            opened, and whatever ends the training (see :meth:`Trainer.train`).
    """
    check_vision(recipe)
    recipe_on_disk(recipe, folder, fresh=fresh)
    _record_versions(folder, command, tell)
    material = material or open_material(recipe, cache_folder, on_stage)
    inputs = _kept_inputs(recipe, material, folder / "inputs", on_stage)
    run = build_run(recipe, material, inputs, tell)
    try:
        outcome = run.trainer.train(folder, on_step)
        report = run.stream.report()
    finally:
        run.stream.close()
    _record_stream(report, folder / "stream.json", tell)
    if outcome.finished:
        run.pretrained.save(folder / "model")
    return outcome


def seconds_per_step(
    recipe: Recipe, material: Material, *, warmup_steps: int = 3, steps: int = 12
) -> float:
    """Median time of a training step on this machine, to choose a number of steps by.

    Validation and checkpoints come on top; nothing is written and nothing that counts is trained.
    """
    run = build_run(recipe, material, build_inputs(recipe, material.train))
    try:
        seconds = [run.trainer.step().timing["seconds"] for _ in range(warmup_steps + steps)]
    finally:
        run.stream.close()
    return median(seconds[warmup_steps:])


def check_vision(recipe: Recipe) -> None:
    """Refuse, before anything expensive, settings that the vision tokenizer's grid rules out."""
    check_images(recipe, build_vision_tokenizer(recipe.vision).image_shape)


def recipe_on_disk(recipe: Recipe, folder: Path, *, fresh: bool) -> None:
    """Make the run folder and write the recipe, or see that it holds this very recipe.

    Raises:
        UserError: the folder holds something else, or a run with other settings.
    """
    path = folder / "recipe.toml"
    if folder.exists() and any(folder.iterdir()) and not path.exists():
        raise UserError(f"{folder} exists and holds no run; give another folder with --out")
    if fresh and path.exists():
        shutil.rmtree(folder)
    if path.exists():
        changed = differences(load_toml(path), resolved(recipe))
        if changed:
            raise UserError(
                f"{folder} holds a run with other settings:\n  "
                + "\n  ".join(changed)
                + "\nGo on with its own settings, give another folder with --out, or begin again "
                "with --fresh, which deletes it"
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder.with_name(f"{folder.name}.recipe.partial")
    write_recipe(recipe, aside)
    os.replace(aside, path)


def _open_folders(recipe: Recipe, split: Split) -> dict[str, Source]:
    settings = {n: s for n, s in recipe.stream.sources.items() if s.kind != "world"}
    return build_sources(settings, split, recipe.stream.row_positions)


def _open_worlds(
    recipe: Recipe, split: Split, cache_folder: Path | None, on_stage: Stage
) -> dict[str, Source]:
    settings = {n: s for n, s in recipe.stream.sources.items() if s.kind == "world"}
    if not settings:
        return {}
    world = render_worlds(
        recipe.world,
        split,
        (cache_folder or default_cache_folder()) / "worlds",
        progress=partial(on_stage, f"{split.value.replace('_', '-')} worlds"),
        num_processes=os.cpu_count() or 1,
    )
    return build_sources(settings, split, recipe.stream.row_positions, world)


def _record_versions(folder: Path, command: str, tell: Callable[[str], None]) -> None:
    path, now = folder / "versions.json", versions(command)
    try:
        then = json.loads(path.read_text())
    except (OSError, ValueError):
        path.write_text(json.dumps(now, indent=1) + "\n")
        return
    for name in ("torch", "machine", "threads"):
        if then.get(name) != now[name]:
            tell(
                f"the run began with {name} {then.get(name)}, here it is {now[name]}: "
                "it goes on, but its last digits may differ from an uninterrupted run's"
            )


def _record_stream(report: StreamReport, path: Path, tell: Callable[[str], None]) -> None:
    path.write_text(json.dumps(asdict(report), indent=1) + "\n")
    for alarm in report.alarms:
        tell(alarm)
    for what, count in (("skipped", report.skipped), ("longer than a row, split", report.split)):
        for source, documents in count.items():
            if documents:
                tell(f"{source}: {documents} of {report.documents[source]} documents {what}")


def _kept_inputs(recipe: Recipe, material: Material, folder: Path, on_stage: Stage) -> Inputs:
    """The inputs that the run began with; made, and kept in its folder, by its first call."""
    if folder.exists():
        return Inputs(TextTokenizer.load(folder), load_tokenizer(folder / "vision"))
    on_stage("preparing tokenizers", 0, 1)
    inputs = build_inputs(recipe, material.train)
    aside = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    inputs.text_tokenizer.save(aside)
    save_tokenizer(inputs.vision_tokenizer, aside / "vision")
    os.replace(aside, folder)
    on_stage("preparing tokenizers", 1, 1)
    return _kept_inputs(recipe, material, folder, on_stage)


def _stream(recipe: Recipe, sources: Mapping[str, Source], inputs: Inputs, seed: int) -> Stream:
    image_shape = inputs.vision_tokenizer.image_shape
    return Stream(recipe.stream, sources, inputs.text_tokenizer, image_shape, seed)


def _validation(
    recipe: Recipe, held_out: Mapping[str, Source], inputs: Inputs, device: torch.device
) -> Validation | None:
    settings = recipe.training
    if not settings.validation_batches:
        return None
    whole = recipe.stream.model_copy(update={"condition_drop": 0.0})
    quiet = recipe.model_copy(update={"stream": whole})
    stream = _stream(quiet, held_out, inputs, VALIDATION_SEED)
    try:
        return Validation(
            islice(stream, settings.validation_batches),
            inputs.vision_tokenizer,
            settings.validation_flow_times,
            device,
        )
    finally:
        stream.close()


def _pictures(sources: Mapping[str, Source], image_pixels: int) -> Iterator[Tensor]:
    """Batches [1, 3, H, W] of pictures spread evenly over the sources."""
    shape = ImageShape(image_pixels, image_pixels, 1, 1)
    for source in sources.values():
        wanted = min(len(source), MEASURED_PICTURES // len(sources))
        for number in range(wanted):
            document = source[number * len(source) // wanted]
            try:
                yield from (decode_picture(image, shape)[None] for image in document.images)
            except UserError:
                continue  # the stream counts and reports it
