"""``chiasm imagine``: what scripts of actions lead to, as a contact sheet, an animation and frames.

Files in the folder of ``--out``:

    sheet.png            a row for each script, a column for each step, true views below
    walk.gif             the scripts side by side, step by step
    frames/2-03.png      the view of the second script behind its third step

``--animation`` writes the walk into a file of its own, in all its colours if it is WebP or PNG.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image as PillowImage

from chiasm.actions import PREFIX
from chiasm.cli.choice import FIRST, Choice
from chiasm.cli.options import Cache, Device, Trained, only, with_settings
from chiasm.errors import UserError, found_at
from chiasm.inference.request import IMAGINING, SamplingSettings
from chiasm.walk.commands import MOST_VIEWS
from chiasm.worldmodel.sheet import Strip, animation, contact_sheet

VIEWS = 5
"""Default number of views of an instruction."""
MILLISECONDS = 600
"""Duration of each picture of the animation; the last one is shown longer."""
ANIMATED = (".webp", ".png", ".gif")
"""Formats of an animation."""


@with_settings
def imagine(
    run: Trained,
    actions: Annotated[
        list[str] | None,
        typer.Option(help="Keys such as 'W W A W', or poses with ; between them; repeatable."),
    ] = None,
    instruction: Annotated[
        list[str] | None, typer.Option(help="A sentence, spread over --views; repeatable.")
    ] = None,
    views: Annotated[
        int | None,
        typer.Option(
            min=1, max=MOST_VIEWS, help="Views of an --instruction.", show_default=str(VIEWS)
        ),
    ] = None,
    choice: Choice = FIRST,
    out: Annotated[Path, typer.Option(help="A new folder.")] = Path("imagined"),
    animated: Annotated[
        Path | None,
        typer.Option(
            "--animation", metavar="FILE", help="Also write the walk as a .webp, .png or .gif."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the noise of all scripts.")] = 0,
    sampling: Annotated[
        SamplingSettings,
        only("guidance", "inner_guidance", "history_noise", "kept_window", steps="solver_steps"),
    ] = IMAGINING,
    direct: Annotated[
        bool,
        typer.Option(
            "--direct", help="Imagine each view at once from the start, not step by step."
        ),
    ] = False,
    device: Device = "auto",
    cache: Cache = None,
) -> None:
    """Imagine what scripts of actions or instructions lead to, all from one view.

    Examples:

      chiasm imagine RUN --actions "W W A W" --actions "W W D W"

      chiasm imagine RUN --map 3 --view 12 --actions "dx=+1 dy=0 dyaw=0; dx=0 dy=0 dyaw=-40"

      chiasm imagine RUN --image room.jpg --instruction "go to the red torch" --views 6
    """
    _refuse_full(out)
    if animated is not None and animated.suffix.lower() not in ANIMATED:
        raise UserError(f"--animation {animated} is none of {', '.join(ANIMATED)}; name it so")
    if views is not None and not instruction:
        raise UserError(f"--views {views} is of an --instruction; --actions are as long as written")
    # With torch, which a mistyped option need not wait for.
    from chiasm.cli.starts import WalkedRun, true_views
    from chiasm.inference.pictures import through_tokenizer
    from chiasm.walk.scripts import imagine_scripts, numeric_views, read_instruction, read_script

    walked = WalkedRun(run, device, choice)
    pretrained = walked.pretrained
    with found_at("--actions"):
        scripts = [read_script(words, pretrained) for words in actions or ()]
    with found_at("--instruction"):
        format_ = pretrained.actions
        scripts += [read_instruction(each, views or VIEWS, format_) for each in instruction or ()]
    if not scripts:
        raise UserError('nothing to imagine; give --actions "W W A" or --instruction "turn left"')
    # Refuses models without actions and steps that are too long before a world is opened.
    numeric = numeric_views(pretrained, sampling, scripts, direct=direct)
    starts, start = walked.starts(cache, only_chosen=True)
    if start is None:
        raise UserError(f"{run} has no held-out views to begin with; give one with --image")
    if instruction and walked.instructed is False:
        typer.echo(
            "this run was trained on numeric actions alone; sentences are new to it", err=True
        )
    imagined = imagine_scripts(pretrained, sampling, numeric, start.view, scripts, seed)
    truth = true_views(pretrained, starts.rendered, start, scripts)
    strips = []
    for script, own, true in zip(scripts, imagined, truth, strict=True):
        captions = ["start", *(text.removeprefix(PREFIX) for text in script.texts)]
        strip = Strip(script.name, [start.view, *own], captions)
        if true is not None:
            seen, blocked = [start.view, *true.views], [False, *true.blocked]
            decoded = through_tokenizer(pretrained, np.stack(seen))
            strip = replace(strip, truth=seen, blocked=blocked, decoded=[*decoded])
        strips.append(strip)
    typer.echo(f"from {start.name}")
    for path in _write(out, strips, animated):
        typer.echo(path)


def _refuse_full(out: Path) -> None:
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise UserError(f"--out {out} is there already; give a new folder")


def _write(out: Path, strips: Sequence[Strip], animated: Path | None) -> list[Path]:
    sheet, frames = out / "sheet.png", out / "frames"
    walks = [out / "walk.gif", *([] if animated is None else [animated])]
    try:
        frames.mkdir(parents=True, exist_ok=True)
        contact_sheet(strips).save(sheet, optimize=True)
        first, *rest = animation(strips)
        durations = [MILLISECONDS] * len(rest) + [4 * MILLISECONDS]
        for walk in walks:
            first.save(walk, save_all=True, append_images=rest, duration=durations, loop=0)
        for number, strip in enumerate(strips, start=1):
            for step, view in enumerate(strip.views[1:], start=1):
                PillowImage.fromarray(view).save(frames / f"{number}-{step:02d}.png")
    except OSError as error:
        named = " and ".join(str(path) for path in (out, animated) if path is not None)
        raise UserError(f"{named} cannot be written: {error}") from error
    return [sheet, *walks, frames]
