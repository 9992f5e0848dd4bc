"""``chiasm imagine``: what scripts of actions lead to, as a contact sheet, an animation and frames.

Files in the folder of ``--out``:

    sheet.png            a row for each script, a column for each step, true views below
    walk.gif             the scripts side by side, step by step
    frames/2-03.png      the view of the second script behind its third step
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image as PillowImage

from chiasm.actions import PREFIX
from chiasm.capabilities import Rendered
from chiasm.cli.options import Guidance
from chiasm.cli.starts import Choice, open_starts, open_truth
from chiasm.errors import UserError, found_at
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import SamplingSettings
from chiasm.walk.commands import MOST_VIEWS
from chiasm.walk.scripts import (
    Script,
    imagine_scripts,
    numeric_views,
    read_instruction,
    read_script,
)
from chiasm.walk.starts import Place, Start
from chiasm.walk.truth import Truth
from chiasm.worldmodel.sheet import Strip, animation, contact_sheet

DEFAULTS = SamplingSettings(guidance=1.0)
STEPS = 5
"""Default number of steps of an instruction."""
MILLISECONDS = 600
"""Duration of each picture of the animation; the last one is shown longer."""


@dataclass(frozen=True, eq=False)
class TrueWalk:
    """True views after each step of a script, and which steps were stopped."""

    views: list[np.ndarray]
    """uint8 [H, W, 3] each."""
    blocked: list[bool]

    @classmethod
    def of(cls, truth: Truth, place: Place, script: Script) -> TrueWalk:
        """Returns the true views of a script from one place on a map."""
        way = truth.walk(place, script.commands)
        return cls(truth.views([place for place, _ in way]), [blocked for _, blocked in way])


def imagine(
    run: Annotated[str, typer.Argument(help="a run, a saved model, or a hub id owner/name")],
    actions: Annotated[
        list[str] | None,
        typer.Option(help="keys such as 'W W A W', or poses with ; between them; may be repeated"),
    ] = None,
    instruction: Annotated[
        list[str] | None, typer.Option(help="a sentence, spread over --steps; may be repeated")
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1, max=MOST_VIEWS, help="views of an --instruction", show_default=str(STEPS)
        ),
    ] = None,
    map_: Annotated[
        int | None, typer.Option("--map", min=0, help="begin on this held-out map")
    ] = None,
    view: Annotated[int | None, typer.Option(min=0, help="and with this view of it")] = None,
    image: Annotated[Path | None, typer.Option(help="begin with a picture file")] = None,
    out: Annotated[Path, typer.Option(help="a new folder")] = Path("imagined"),
    seed: Annotated[int, typer.Option(min=0, help="of the noise, for all scripts")] = 0,
    solver_steps: Annotated[int, typer.Option(min=1)] = DEFAULTS.steps,
    guidance: Guidance = DEFAULTS.guidance,
    direct: Annotated[
        bool,
        typer.Option("--direct", help="imagine each view at once from the start, not step by step"),
    ] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto")] = "auto",
    cache: Annotated[
        Path | None, typer.Option(help="Where rendered worlds are kept.", envvar="CHIASM_CACHE")
    ] = None,
) -> None:
    """Imagine what scripts of actions or instructions lead to, all from one view.

    Examples:

      chiasm imagine RUN --actions "W W A W" --actions "W W D W"

      chiasm imagine RUN --map 3 --view 12 --actions "dx=+1 dy=0 dyaw=0; dx=0 dy=0 dyaw=-40"

      chiasm imagine RUN --image room.jpg --instruction "go to the red torch" --steps 6
    """
    choice = Choice.of(map_, view, image)
    _refuse_full(out)
    if steps is not None and not instruction:
        raise UserError(f"--steps {steps} is of an --instruction; --actions are as long as written")
    pretrained = Pretrained.load(run, device)
    with found_at("--actions"):
        scripts = [read_script(words, pretrained) for words in actions or ()]
    with found_at("--instruction"):
        format_ = pretrained.actions
        scripts += [read_instruction(each, steps or STEPS, format_) for each in instruction or ()]
    if not scripts:
        raise UserError('nothing to imagine; give --actions "W W A" or --instruction "turn left"')
    sampling = DEFAULTS.model_copy(update={"steps": solver_steps, "guidance": guidance})
    # Refuses models without actions and steps that are too long before a world is opened.
    numeric = numeric_views(pretrained, sampling, scripts, direct=direct)
    opened = open_starts(run, pretrained, choice, cache, only_chosen=True)
    start = opened.start
    if start is None:
        raise UserError(f"{run} has no held-out views to begin with; give one with --image")
    if instruction and opened.instructed is False:
        typer.echo(
            "this run was trained on numeric actions alone; sentences are new to it", err=True
        )
    views = imagine_scripts(pretrained, sampling, numeric, start.view, scripts, seed)
    truth = true_views(pretrained, opened.starts.rendered, start, scripts)
    strips = [
        Strip(
            script.name,
            [start.view, *own],
            ["start", *(text.removeprefix(PREFIX) for text in script.texts)],
            None if true is None else [start.view, *true.views],
            () if true is None else [False, *true.blocked],
        )
        for script, own, true in zip(scripts, views, truth, strict=True)
    ]
    typer.echo(f"from {start.name}")
    for path in _write(out, strips):
        typer.echo(path)


def true_views(
    pretrained: Pretrained, source: Rendered | None, start: Start, scripts: Sequence[Script]
) -> list[TrueWalk | None]:
    """Returns the true views of each script; None if the start or the script has no poses."""
    if source is None or start.place is None:
        return [None] * len(scripts)
    with ExitStack() as running:
        truth = open_truth(running, source, pretrained)
        return [
            TrueWalk.of(truth, start.place, script) if script.is_numeric else None
            for script in scripts
        ]


def _refuse_full(out: Path) -> None:
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise UserError(f"--out {out} is there already; give a new folder")


def _write(out: Path, strips: Sequence[Strip]) -> list[Path]:
    sheet, walk, frames = out / "sheet.png", out / "walk.gif", out / "frames"
    try:
        frames.mkdir(parents=True, exist_ok=True)
        contact_sheet(strips).save(sheet, optimize=True)
        first, *rest = animation(strips)
        durations = [MILLISECONDS] * len(rest) + [4 * MILLISECONDS]
        first.save(walk, save_all=True, append_images=rest, duration=durations, loop=0)
        for number, strip in enumerate(strips, start=1):
            for step, view in enumerate(strip.views[1:], start=1):
                PillowImage.fromarray(view).save(frames / f"{number}-{step:02d}.png")
    except OSError as error:
        raise UserError(f"--out {out} cannot be written: {error}") from error
    return [sheet, walk, frames]
