"""chiasm vision: make a tokenizer, measure its latents, encode pictures ahead of training.

A verb imports what it needs, torch above all, once its recipe is read.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from chiasm.batch.streams import IMAGE
from chiasm.cli.options import Cache, Device, RecipeFile, command, overrides
from chiasm.cli.progress import RunDisplay
from chiasm.cli.ranks import several_ranks
from chiasm.documents import Split
from chiasm.errors import UserError, settings_of
from chiasm.recipe import Recipe, leaves, load_recipe
from chiasm.tokenizers.settings import TokenizerSettings
from chiasm.toml import load_settings
from chiasm.vision.learning.settings import VisionTrainingSettings
from chiasm.vision.settings import SHARD_PICTURES, StoredType

app = typer.Typer(help="Vision tokenizers.", no_args_is_help=True)

Overrides = Annotated[list[str] | None, overrides("seed=1")]


@app.callback()
def vision() -> None:
    """Vision tokenizers."""


@app.command()
def train(
    recipe: RecipeFile,
    out: Annotated[Path, typer.Option(help="The tokenizer's folder.")],
    inception: Annotated[
        Path | None,
        typer.Option(help="Inception as a TorchScript file, for rFID among the figures."),
    ] = None,
    device: Device = "auto",
    set_: Overrides = None,
    cache: Cache = None,
) -> None:
    """Train a tokenizer, by the recipe's kind; a call that was stopped goes on."""
    opening = several_ranks(lambda: load_settings(VisionTrainingSettings, recipe, set_ or []))
    with opening as (settings, ranks):
        from chiasm.assembly import default_cache_folder
        from chiasm.device import choose_device
        from chiasm.ranks import agree
        from chiasm.training.versions import code_versions
        from chiasm.vision.learning.from_settings import train_from_settings

        with ranks.together():
            chosen = choose_device(device)
        agree(ranks, lambda: {**dict(leaves(settings.model_dump())), **code_versions()})
        with RunDisplay(silent=not ranks.is_first) as display:
            train_from_settings(
                settings,
                out,
                cache_folder=cache or default_cache_folder(),
                inception=inception,
                device=chosen,
                progress=display.on_fit,
                tell=display.tell,
                command=command(),
                ranks=ranks,
            )
        if ranks.is_first:
            uses = f'kind = "{settings.kind}" and path = "{out}"'
            print(f"the tokenizer is in {out}; a recipe uses it with {uses} under [streams.image]")


@app.command()
def stats(
    recipe: RecipeFile,
    out: Annotated[Path, typer.Option(help="The JSON file to write.")],
    folder: Annotated[
        Path | None,
        typer.Option(help="Pictures to measure on, instead of the recipe's training sources."),
    ] = None,
    stream: Annotated[str, typer.Option(help="Whose tokenizer is measured.")] = IMAGE,
    most: Annotated[
        int, typer.Option(min=1, help="Documents or frames to read, evenly spread over all.")
    ] = 50_000,
    set_: Overrides = None,
    cache: Cache = None,
) -> None:
    """Measure mean and deviation of each latent channel of the recipe's tokenizer."""
    settings = load_recipe(recipe, set_ or [])
    from chiasm.assembly import open_gallery, open_tokenizers
    from chiasm.device import choose_device
    from chiasm.tokenizers.statistics import save_statistics
    from chiasm.vision.cached.gallery import gallery_of_folder
    from chiasm.vision.cached.measurement import measure_gallery

    # The file to be written may be the one that the recipe names already.
    unmeasured = _settings_of(settings, stream).model_copy(update={"statistics": None})
    streams = {**settings.streams, stream: unmeasured}
    settings = settings.model_copy(update={"streams": streams})
    unreadable: list[UserError] = []
    with RunDisplay() as display:
        tokenizer = open_tokenizers(settings, cache, display.on_stage).of(stream)
        with settings_of(f"streams.{stream}"):
            tokenizer.refuse_varying("chiasm vision stats")
        if folder is not None:
            gallery, data = gallery_of_folder(folder), str(folder)
        else:
            gallery = open_gallery(
                settings, Split.TRAIN, cache_folder=cache, on_stage=display.on_stage
            )
            data = f"{settings.name}: {', '.join(gallery.parts)}"
        statistics = measure_gallery(
            gallery,
            tokenizer,
            most=most,
            device=choose_device(settings.training.device),
            data=data,
            progress=display.on_stage,
            unreadable=unreadable.append,
        )
    save_statistics(statistics, out)
    print(
        f"{statistics.count:,} latent tokens of {statistics.channels} channels"
        + (f", {len(unreadable)} pictures left out ({unreadable[0]})" if unreadable else "")
        + f": {out}"
    )


@app.command()
def encode(
    recipe: RecipeFile,
    out: Annotated[Path, typer.Option(help="The folder of the latents.")],
    dtype: Annotated[StoredType, typer.Option(help="What latents are stored in.")] = "float16",
    shard_pictures: Annotated[
        int, typer.Option(min=1, help="Pictures of a shard.")
    ] = SHARD_PICTURES,
    rank: Annotated[
        int, typer.Option(envvar="RANK", help="Which of the processes that share the work.")
    ] = 0,
    ranks: Annotated[int, typer.Option(envvar="WORLD_SIZE", help="How many they are.")] = 1,
    set_: Overrides = None,
    cache: Cache = None,
) -> None:
    """Encode all pictures of a recipe's sources ahead of training; a stopped call goes on."""
    settings = load_recipe(recipe, set_ or [])
    import torch

    from chiasm.assembly import open_gallery, open_tokenizers
    from chiasm.device import choose_device
    from chiasm.vision.cached.encoding import Encoding, Rank, stream_folders

    share = Rank(rank, ranks)
    device = choose_device(settings.training.device)
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", rank % torch.cuda.device_count())
    with RunDisplay() as display:
        tokenizers = open_tokenizers(settings, cache, display.on_stage)
        tokenizers.refuse_varying("chiasm vision encode")
        places = stream_folders(out, tokenizers)
        gallery = open_gallery(settings, *Split, cache_folder=cache, on_stage=display.on_stage)
        encodings = {
            name: Encoding(
                gallery.playing(tokenizers.streams.roles(name)),
                tokenizers[name],
                place,
                stored_type=dtype,
                shard_pictures=shard_pictures,
                rank=share,
            )
            for name, place in places.items()
        }
        manifests = {
            name: encoding.run(device, _stage_of(places[name], display))
            for name, encoding in encodings.items()
        }
    for name, manifest in manifests.items():
        pictures = sum(shard.pictures for shard in manifest.shards)
        broken = sum(len(shard.unreadable) for shard in manifest.shards)
        print(
            f"{places[name]}: {pictures:,} pictures in {len(manifest.shards)} shards"
            + f", {broken} that cannot be decoded" * bool(broken)
        )
        print(f'a recipe reads them with [streams.{name}] latents = "{places[name]}"')


def _stage_of(folder: Path, display: RunDisplay) -> Callable[[str, int, int], None]:
    """Returns a callback that shows the progress of a stream's folder."""
    return lambda stage, done, of: display.on_stage(f"{stage} ({folder.resolve().name})", done, of)


def _settings_of(recipe: Recipe, stream: str) -> TokenizerSettings:
    if stream not in recipe.streams:
        raise UserError(
            f"--stream {stream}: the recipe has the streams {', '.join(recipe.streams)}; name one"
        )
    return recipe.streams[stream]
