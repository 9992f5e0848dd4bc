"""From a recipe to the objects of a run: data, tokenizers, stream, model and trainer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import torch

from chiasm.assembly.inputs import Inputs
from chiasm.assembly.memory import refuse_large_model
from chiasm.assembly.rehearsal import rehearse
from chiasm.assembly.stretches import refuse_other_stretches
from chiasm.assembly.vision import open_tokenizers
from chiasm.assembly.walks import refuse_misfit_walks, walk_documents
from chiasm.batch.items import ItemReader
from chiasm.batch.streams import Streams
from chiasm.data.encoding import refuse_short_rows
from chiasm.data.preparation import Stage, default_cache_folder, silent
from chiasm.data.source import Opening
from chiasm.data.sources import open_sources
from chiasm.data.stream import Stream, refuse_uneven
from chiasm.device import choose_device, matmul_dtype
from chiasm.documents import Source
from chiasm.errors import UserError, settings_of
from chiasm.evaluation.material import Material
from chiasm.inference.pretrained import Pretrained
from chiasm.model.decoder import Decoder
from chiasm.ranks import ALONE, Ranks
from chiasm.recipe import Recipe, resolved
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.training.adapters import adapt, merged
from chiasm.training.objective import Objective
from chiasm.training.parallel import (
    parallelize,
    refuse_misfit,
    whole_weights,
    without_memory,
)
from chiasm.training.trainer import Trainer
from chiasm.training.transfer import take_weights
from chiasm.training.validation import VALIDATION_SEED, Validation
from chiasm.vision.cached.items import CachedItems
from chiasm.vision.cached.kept import KeptLatents, keep_latents


@dataclass(frozen=True)
class Run:
    """The objects of a training run."""

    recipe: Recipe
    inputs: Inputs
    stream: Stream
    trainer: Trainer

    def save_model(self, folder: Path) -> None:
        """Writes the model in its present state, with all that its use needs; all ranks call it.

        Where a run keeps an average of its weights, that is what is written.

        Raises:
            UserError: the folder cannot be written, or its name belongs to something else.
        """
        ranks, decoder = self.trainer.ranks, self.trainer.decoder
        average = self.trainer.average
        with average.in_use() if average else nullcontext():
            weights = whole_weights(decoder, ranks)
        if (lora := self.recipe.training.lora) is not None:
            weights = merged(weights, lora.scale)
        with ranks.together():
            if ranks.is_first:
                self.pretrained.save(folder, weights)

    @property
    def pretrained(self) -> Pretrained:
        """The model in its present state, for use in this process."""
        return Pretrained(
            self.trainer.decoder,
            self.inputs.text_tokenizer,
            self.inputs.tokenizers,
            self.recipe.objective.flow,
            self.recipe.stream.sequence_length,
            self.recipe.actions,
            walk_documents(self.recipe),
        )


def open_material(
    recipe: Recipe, cache_folder: Path | None = None, on_stage: Stage = silent
) -> Material:
    """Returns both splits of every source; renders what has to be rendered and is not in the cache.

    Raises:
        UserError: a source that cannot be opened; those that need no rendering are tried first.
    """
    opened = open_sources(recipe.stream.sources, opening_of(recipe, cache_folder, on_stage))
    return Material(
        {name: source.train for name, source in opened.items()},
        {name: source.held_out for name, source in opened.items()},
        {name: source.facts for name, source in opened.items()},
    )


def opening_of(
    recipe: Recipe, cache_folder: Path | None = None, on_stage: Stage = silent
) -> Opening:
    """Returns the arguments of opening the recipe's sources."""
    return Opening(
        recipe.stream.sequence_length,
        recipe.actions,
        recipe.tables,
        cache_folder or default_cache_folder(),
        on_stage,
    )


def build_run(
    recipe: Recipe,
    material: Material,
    inputs: Inputs,
    tell: Callable[[str], None] = print,
    cache_folder: Path | None = None,
    ranks: Ranks = ALONE,
    beginning: Pretrained | None = None,
) -> Run:
    """Returns stream, model and trainer, ready for their first step, of one rank.

    The cache folder keeps latents of items that were met before. ``beginning``: a model whose
    weights are taken.
    """
    device = choose_device(recipe.training.device)
    tokenizers = inputs.tokenizers.to(device)
    encoding = {name: own for name, own in tokenizers.items() if not recipe.streams[name].latents}
    folder = (cache_folder or default_cache_folder()) / "latents"
    most_bytes = recipe.stream.kept_latents_megabytes * 10**6
    training = recipe.training
    with ranks.together():
        kept = keep_latents(encoding, device, folder, most_bytes, tell)
        reader = _reader(recipe, tokenizers, kept)
        stream = build_stream(recipe, material.train, inputs, recipe.seed, reader, ranks)
        build = partial(
            Decoder,
            vocabulary=inputs.text_tokenizer.vocabulary_size,
            streams=tokenizers.streams,
            seed=recipe.seed,
        )
        rehearse(build(recipe.model.model_copy(update={"depth": 1})).to(device), tokenizers)
        with without_memory(ranks, training.parallel, device):
            decoder = build(recipe.model)
        with settings_of("training.parallel"):
            refuse_misfit(decoder, ranks, training.parallel)
        validation = _validation(recipe, material.held_out, inputs, reader, device, tell, ranks)
        _doubt_narrow_models(recipe, tokenizers.streams, tell)
    placement = parallelize(
        decoder,
        ranks,
        training.parallel,
        device,
        compute_dtype=matmul_dtype(device, training.precision),
        seed=recipe.seed,
    )
    if beginning is not None:
        with ranks.together(), settings_of("initialize"):
            take_weights(decoder, beginning.decoder, tell)
    if training.lora is not None:
        with ranks.together():
            if ranks.size > 1:
                told = ": adapters are trained on one rank"
                raise UserError(told, setting="training.lora", remedy="leave it out")
            adapt(decoder, training.lora, recipe.seed, tell)
    trainer = Trainer(
        decoder,
        Objective(recipe.objective, ranks),
        tokenizers,
        stream,
        validation,
        training,
        seed=recipe.seed,
        ranks=ranks,
        placement=placement,
        tell=tell,
    )
    trainer.about = resolved(recipe)
    return Run(recipe, inputs, stream, trainer)


def _doubt_narrow_models(recipe: Recipe, streams: Streams, tell: Callable[[str], None]) -> None:
    """Tells which streams' noise is too wide for the model to pass on (arXiv 2511.13720)."""
    for name in streams.generated:
        prediction, channels = recipe.objective.of(name).prediction, streams[name].channels
        if prediction != "x" and channels > recipe.model.width:
            tell(
                f"warning: objective.prediction = {prediction!r} asks for the noise in latents of "
                f"{channels} channels ({name}), which model.width = {recipe.model.width} cannot "
                "hold: what is generated stays noisy. With 'x' it does not"
            )


def check_feasible(
    recipe: Recipe,
    cache_folder: Path | None = None,
    on_stage: Stage = silent,
    ranks: Ranks = ALONE,
) -> None:
    """Refuses, before anything expensive, what the vision tokenizer or the machine rules out.

    A tokenizer that the recipe trains is trained first.
    """
    with settings_of("stream"):
        refuse_uneven(recipe.stream, ranks.size)
    tokenizers = open_tokenizers(recipe, cache_folder, on_stage)
    refuse_short_rows(recipe.stream.sequence_length, tokenizers.streams)
    refuse_large_model(recipe, tokenizers.streams, ranks)
    refuse_other_stretches(recipe, tokenizers)
    _reader(recipe, tokenizers, {})


def build_stream(
    recipe: Recipe,
    sources: Mapping[str, Source],
    inputs: Inputs,
    seed: int,
    reader: ItemReader | None = None,
    ranks: Ranks = ALONE,
) -> Stream:
    """Returns the packed batches of these sources in the order that the seed gives.

    Without a ``reader``, they hold latents where the recipe names a folder of them, or items.

    Raises:
        UserError: as of :func:`~chiasm.assembly.walks.refuse_misfit_walks`.
    """
    refuse_misfit_walks(recipe, sources, inputs.text_tokenizer, inputs.tokenizers)
    return Stream(
        recipe.stream,
        sources,
        inputs.text_tokenizer,
        reader or _reader(recipe, inputs.tokenizers, {}),
        seed,
        rank=ranks.rank,
        num_ranks=ranks.size,
    )


def _reader(
    recipe: Recipe, tokenizers: StreamTokenizers, kept: Mapping[str, KeptLatents]
) -> ItemReader:
    """Returns the reader of items, or of latents where a stream has them ahead or keeps them."""
    folders = {name: own.latents for name, own in recipe.streams.items() if own.latents}
    return CachedItems(tokenizers, folders, kept) if folders or kept else tokenizers


def _validation(
    recipe: Recipe,
    held_out: Mapping[str, Source],
    inputs: Inputs,
    reader: ItemReader,
    device: torch.device,
    tell: Callable[[str], None],
    ranks: Ranks,
) -> Validation | None:
    settings = recipe.training
    if not settings.validation_batches:
        return None
    # Dropped conditions are for training: validation reads whole documents.
    whole = recipe.stream.model_copy(update={"condition_dropout": 0.0})
    quiet = recipe.model_copy(update={"stream": whole})
    stream = build_stream(quiet, held_out, inputs, VALIDATION_SEED, reader)
    try:
        validation = Validation(
            islice(stream, settings.validation_batches),
            inputs.tokenizers,
            device,
            ranks,
        )
        report = stream.report()
    finally:
        stream.close()
    for name, skipped in report.skipped.items():
        if skipped:
            first = next((note for note in report.notes if note.startswith(f"{name}[")), "")
            tell(
                f"validation: {skipped} of {report.documents[name]} held-out documents of source "
                f"{name!r} are passed over: {first}"
            )
    return validation
