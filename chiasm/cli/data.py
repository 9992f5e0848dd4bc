"""chiasm data: see, count and check what sources give; record walks, and export them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from chiasm.cli.options import Cache, RecipeFile, overrides
from chiasm.cli.progress import RunDisplay
from chiasm.errors import UserError
from chiasm.providers import record_freedoom
from chiasm.recipe import Recipe, load_recipe

app = typer.Typer(help="The data stream.", no_args_is_help=True)


@app.callback()
def data() -> None:
    """The data stream."""


@app.command()
def inspect(
    recipe: RecipeFile,
    row: Annotated[int, typer.Option(min=0, help="Which packed row, from 0.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Draw the row into this file, such as row.png.")
    ] = None,
    set_: Annotated[list[str] | None, overrides("stream.sequence_length=512")] = None,
    cache: Cache = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="What was found under each source's path, as JSON alone.")
    ] = False,
) -> None:
    """Print what was found under each source's path, and one packed row, span by span.

    With --out, the row's pictures, sources, roles and mask are drawn into a file.
    """
    settings = load_recipe(recipe, set_ or [])
    # Imports torch: mistakes in the recipe are reported before.
    from chiasm.assembly import build_inputs, build_stream, check_feasible, open_material
    from chiasm.data.drawing import draw_row, row_table
    from chiasm.report.files import writing

    if as_json:
        with RunDisplay() as display:
            material = open_material(settings, cache, display.on_stage)
        sources = {name: asdict(facts) for name, facts in material.facts.items()}
        print(json.dumps({"sources": sources}, indent=1, ensure_ascii=False))
        return
    # Pictures are drawn, even if training reads latents.
    streams = {n: own.model_copy(update={"latents": None}) for n, own in settings.streams.items()}
    settings = settings.model_copy(update={"streams": streams})
    with RunDisplay() as display:
        check_feasible(settings, cache, display.on_stage)
        material = open_material(settings, cache, display.on_stage)
        for name, facts in material.facts.items():
            display.tell(facts.line(name))
        inputs = build_inputs(settings, material.train, cache, display.on_stage)
    stream = build_stream(settings, material.train, inputs, settings.seed)
    try:
        number, inside = divmod(row, settings.stream.batch_size)
        batch = [next(stream) for _ in range(number + 1)][-1]
        report = stream.report()
    finally:
        stream.close()
    Console().print(row_table(batch, inside, inputs.text_tokenizer))
    for note in (*report.alarms, *report.notes):
        print(note)
    if out is None:
        print("--out row.png draws the row and its mask")
        return
    with writing("the picture of the row", out.parent):
        draw_row(batch, inside, inputs.text_tokenizer, out)
    print(f"the picture of the row is {out}")


@app.command()
def stats(
    recipe: RecipeFile,
    documents: Annotated[
        int, typer.Option(min=1, help="Most documents of each side, evenly spread.")
    ] = 2000,
    examples: Annotated[int, typer.Option(min=0, help="Documents of each side to show.")] = 6,
    out: Annotated[Path, typer.Option(help="The page; its numbers stand beside it.")] = Path(
        "data.html"
    ),
    set_: Annotated[list[str] | None, overrides("stream.sequence_length=512")] = None,
    cache: Cache = None,
) -> None:
    """Count what a recipe's sources hold, and write a page with some documents.

    Documents, positions by stream, unusable ones by reason, sizes of pictures, bytes of text.
    """
    settings = load_recipe(recipe, set_ or [])
    # Imports torch: mistakes in the recipe are reported before.
    from chiasm.assembly.census import count_data
    from chiasm.report.census import census_report
    from chiasm.report.files import write_page, writing
    from chiasm.report.terminal import show

    with RunDisplay() as display:
        counted, facts = count_data(settings, cache, display.on_stage, documents, examples)
    report = census_report(settings.name, counted, facts)
    show(*report.sections[0].blocks)
    with writing("the page", out.parent):
        files = write_page(report, out)
    print(f"the page is {files.page}, its numbers are in {files.table}")


@app.command()
def check(
    recipe: RecipeFile,
    set_: Annotated[list[str] | None, overrides("stream.sources.pictures.path=my-pictures")] = None,
    cache: Cache = None,
) -> None:
    """Read every document of a recipe's sources, decode every picture, and tell what is wrong.

    Exit status 1 where anything cannot be used.
    """
    settings = load_recipe(recipe, set_ or [])
    # Imports torch: mistakes in the recipe are reported before.
    from chiasm.assembly.census import count_data

    with RunDisplay() as display:
        counted, facts = count_data(settings, cache, display.on_stage)
        for name, own in facts.items():
            display.tell(own.line(name))
    wrong = 0
    for name, own in facts.items():
        wrong += sum(own.skipped.values())
        for reason, count in own.skipped.items():
            print(f"{name}: {count:,} rows: {reason}")
        for told in own.unusable:
            print(f"  {told}")
    for each in counted:
        wrong += sum(each.census.rejects.values())
        for reason, count in each.census.rejects.items():
            print(f"{each.source}, {each.side}: {count:,} of {each.of:,} documents: {reason}")
        for told in each.census.told:
            print(f"  {told}")
    print(f"{wrong:,} rows and documents cannot be used" if wrong else "everything can be used")
    if wrong:
        raise typer.Exit(1)


@app.command()
def export(
    recipe: Annotated[Path, typer.Argument(help="A TOML file, or a run folder.")],
    out: Annotated[Path, typer.Argument(help="The folder to make.")],
    source: Annotated[
        str, typer.Option(help="Which source of walks; without it the only one.")
    ] = "",
    format_: Annotated[Literal["lerobot"], typer.Option("--format", help="What is written.")] = (
        "lerobot"
    ),
    fps: Annotated[
        int | None,
        typer.Option(
            min=1, help="Frames a second; without it as recorded, and 10 of walks without times."
        ),
    ] = None,
    crf: Annotated[
        int,
        typer.Option(
            min=0, max=51, help="Loss of H.264: 0 keeps every bit as RGB, more is in 4:2:0."
        ),
    ] = 0,
    set_: Annotated[list[str] | None, overrides("world.train_maps=24")] = None,
    cache: Cache = None,
) -> None:
    """Write the walks of a source, both sides, as a LeRobot data set, v3.0."""
    if out.exists():
        raise UserError(f"{out} exists already; give the name of a new folder")
    path = recipe / "recipe.toml" if recipe.is_dir() else recipe
    settings = _of_one_source(load_recipe(path, set_ or []), source)
    # Imports torch: mistakes in the recipe are reported before.
    from chiasm.assembly import open_material
    from chiasm.data.lerobot_export import export_walks, set_settings

    [name] = settings.stream.sources
    with RunDisplay() as display:
        material = open_material(settings, cache, display.on_stage)
        sides = {"train": material.train[name], "held_out": material.held_out[name]}
        written = set_settings(sides, fps, crf)
        episodes, frames = export_walks(
            sides, out, written, lambda done, of: display.on_stage("walks", done, of)
        )
    print(
        f"{episodes:,} episodes of {frames:,} frames are in {out}, {written.frames_per_second} a "
        f'second; a source reads them with kind = "lerobot"'
    )


def _of_one_source(recipe: Recipe, wanted: str) -> Recipe:
    """Returns the recipe with the one source that is exported: others are not opened."""
    sources = recipe.stream.sources
    steps = {name: own.steps(recipe.tables) for name, own in sources.items()}
    with_steps = [name for name, own in steps.items() if own is not None and not own.spoken]
    names = [wanted] if wanted else with_steps
    if wanted and wanted not in sources:
        raise UserError(f"--source {wanted}: the sources are {', '.join(sources)}")
    if len(names) != 1:
        why = f"{len(names)} sources have walks with actions"
        raise UserError(f"--source: {why}; choose one of: {', '.join(names or sources)}")
    stream = recipe.stream.model_copy(update={"sources": {names[0]: sources[names[0]]}})
    return recipe.model_copy(update={"stream": stream})


@app.command()
def freedoom(
    out: Annotated[Path, typer.Argument(help="The folder to make.")],
    maps: Annotated[int, typer.Option(min=1, help="The first so many.")] = 24,
    walks: Annotated[int, typer.Option(min=1, help="Walks through each map.")] = 4,
    frames: Annotated[int, typer.Option(min=2, help="Frames of each walk.")] = 18,
    image_pixels: Annotated[int, typer.Option(min=16, max=192, help="Side of a frame.")] = 64,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Record walks through the maps that come with the engine, for sources of trajectories."""
    if out.exists():
        raise UserError(f"{out} exists already; give the name of a new folder")
    record_freedoom(out, maps, walks, frames, image_pixels, seed=seed)
    print(f'{maps * walks} walks are in {out}; a source reads them with kind = "trajectories"')
