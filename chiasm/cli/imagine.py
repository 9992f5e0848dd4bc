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

from chiasm.actions import PREFIX, ActionFormat
from chiasm.capabilities import Rendered
from chiasm.cli.options import Guidance
from chiasm.cli.starts import Choice, open_starts, open_truth
from chiasm.errors import UserError
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import SamplingSettings
from chiasm.walk.commands import MOST_VIEWS, Command, read_command
from chiasm.walk.starts import Place, Start
from chiasm.walk.truth import Truth
from chiasm.worldmodel.direct import DirectViews
from chiasm.worldmodel.planner import WorldModel
from chiasm.worldmodel.rollout import Context, Rollouts
from chiasm.worldmodel.sheet import Strip, animation, contact_sheet

DEFAULTS = SamplingSettings(guidance=1.0)
STEPS = 5
"""Of an instruction."""
MILLISECONDS = 600
"""Of each picture of the animation; the last one stays longer."""


@dataclass(frozen=True)
class Script:
    """What is done, step by step."""

    name: str
    commands: tuple[Command, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """As the model reads them."""
        return tuple(command.text for command in self.commands)

    @property
    def is_numeric(self) -> bool:
        """Whether every step names a pose; an instruction names none."""
        return all(command.action is not None for command in self.commands)


@dataclass(frozen=True, eq=False)
class TrueWalk:
    """What the engine shows behind each step of a script, and which steps were stopped."""

    views: list[np.ndarray]
    """Of uint8 [H, W, 3]."""
    blocked: list[bool]

    @classmethod
    def of(cls, truth: Truth, place: Place, script: Script) -> TrueWalk:
        """From one place on a map."""
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
    scripts = [read_script(words, pretrained) for words in actions or ()]
    scripts += [
        read_instruction(words, steps or STEPS, pretrained.actions) for words in instruction or ()
    ]
    if not scripts:
        raise UserError('nothing to imagine; give --actions "W W A" or --instruction "turn left"')
    sampling = DEFAULTS.model_copy(update={"steps": solver_steps, "guidance": guidance})
    # A model without actions, and steps that lead too far, are refused before a world is opened.
    numeric = _numeric(pretrained, sampling, scripts, direct=direct)
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


def read_script(words: str, pretrained: Pretrained) -> Script:
    """Keys with spaces between the steps, or poses (and keys) with semicolons.

    Raises:
        UserError: too many steps, or one that cannot be read, is absurd or new to the model.
    """
    parts = words.split(";") if ";" in words or "=" in words else words.split()
    parts = [part.strip() for part in parts if part.strip()]
    if not parts:
        raise UserError(f"--actions {words!r} has no steps; write keys such as 'W W A', or poses")
    if len(parts) > MOST_VIEWS:
        raise UserError(f"--actions has {len(parts)} steps; give {MOST_VIEWS} at most")
    commands = []
    for number, part in enumerate(parts, start=1):
        try:
            commands.append(_read_step(part, pretrained))
        except UserError as error:
            raise UserError(f"--actions, step {number} of {len(parts)}: {error}") from error
    return Script(words.strip(), tuple(commands))


def _read_step(part: str, pretrained: Pretrained) -> Command:
    horizon_frames = pretrained.walks.horizon_frames
    command = read_command(part, pretrained.actions, horizon_frames=horizon_frames)
    if command.action is None:
        raise UserError(
            f"{part!r} is neither keys, such as WA, nor a pose, such as "
            "'dx=+0.34 dy=-0.02 dyaw=+12'; give a sentence with --instruction"
        )
    return command


def read_instruction(words: str, steps: int, actions: ActionFormat) -> Script:
    """A sentence, with how far along it is before each view.

    Raises:
        UserError: it is empty, too long, or names a pose or keys.
    """
    if not words.strip():
        raise UserError("--instruction is empty; say what to do, such as 'turn left'")
    commands = [read_command(words, actions, number=n + 1, of=steps) for n in range(steps)]
    if commands[0].action is not None:
        raise UserError(f"--instruction {words!r} is a pose or keys; give it with --actions")
    return Script(words.strip(), tuple(commands))


def _numeric(
    pretrained: Pretrained, sampling: SamplingSettings, scripts: Sequence[Script], *, direct: bool
) -> WorldModel:
    if not direct:
        return Rollouts.of(pretrained, sampling)
    views = DirectViews(pretrained, sampling)
    for script in scripts:
        if script.is_numeric:
            views.sums(script.texts)
    return views


def imagine_scripts(
    pretrained: Pretrained,
    sampling: SamplingSettings,
    numeric: WorldModel,
    view: np.ndarray,
    scripts: Sequence[Script],
    seed: int,
) -> list[np.ndarray]:
    """The views of each script, uint8 [S, H, W, 3], under the same noise.

    Numeric steps are imagined by ``numeric``, an instruction in documents of its own.

    Raises:
        UserError: an instruction is longer than the model's context.
    """
    context = Context((view,))
    views: dict[int, np.ndarray] = {}
    if numbers := [n for n, script in enumerate(scripts) if script.is_numeric]:
        texts = [scripts[n].texts for n in numbers]
        found = numeric.imagine([context] * len(numbers), texts, seed=seed)
        views |= zip(numbers, found, strict=True)
    for number, script in enumerate(scripts):
        if number not in views:
            spoken = Rollouts.instructed(pretrained, sampling, len(script.commands))
            try:
                [views[number]] = spoken.imagine([context], [script.texts], seed=seed)
            except UserError as error:
                raise UserError(
                    f"--instruction {script.name!r} over {len(script.commands)} views: {error}. "
                    "Lower --steps, or say it shorter"
                ) from error
    return [views[number] for number in range(len(scripts))]


def true_views(
    pretrained: Pretrained, source: Rendered | None, start: Start, scripts: Sequence[Script]
) -> list[TrueWalk | None]:
    """What the engine shows behind each step; None where a start or a script names no pose."""
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
