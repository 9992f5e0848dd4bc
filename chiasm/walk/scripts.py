"""Scripts: sequences of steps, and the views that a model imagines of them.

Shape suffixes: S steps of a script, H and W height and width of a view in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chiasm.actions import ActionFormat
from chiasm.errors import UserError, found_at
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import SamplingSettings
from chiasm.walk.commands import MOST_VIEWS, Command, read_command
from chiasm.worldmodel.direct import DirectViews
from chiasm.worldmodel.planner import WorldModel
from chiasm.worldmodel.rollout import Context, Rollouts


@dataclass(frozen=True)
class Script:
    """A named sequence of commands."""

    name: str
    commands: tuple[Command, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """Texts of the commands, as the model reads them."""
        return tuple(command.text for command in self.commands)

    @property
    def is_numeric(self) -> bool:
        """Whether no step is an instruction."""
        return not any(command.is_spoken for command in self.commands)

    @property
    def has_poses(self) -> bool:
        """Whether every step leads to a pose; controls and instructions do not say to which."""
        return all(command.action is not None for command in self.commands)


def read_script(words: str, pretrained: Pretrained) -> Script:
    """Returns a script of keys separated by spaces, or of poses (and keys) by semicolons.

    Raises:
        UserError: no steps or too many, or one that cannot be read or is outside training.
    """
    parts = words.split(";") if ";" in words or "=" in words else words.split()
    parts = [part.strip() for part in parts if part.strip()]
    if not parts:
        raise UserError(f"{words!r} has no steps; write keys such as 'W W A', or poses")
    if len(parts) > MOST_VIEWS:
        raise UserError(f"{len(parts)} steps are too many; give {MOST_VIEWS} at most")
    commands = []
    for number, part in enumerate(parts, start=1):
        with found_at(f"step {number} of {len(parts)}"):
            commands.append(_read_step(part, pretrained))
    return Script(words.strip(), tuple(commands))


def _read_step(part: str, pretrained: Pretrained) -> Command:
    walks = pretrained.walks
    command = read_command(
        part, pretrained.actions, horizon_frames=walks.horizon_frames, poses=walks.poses
    )
    if command.is_spoken:
        raise UserError(
            f"{part!r} is neither keys, such as WA, nor a pose, such as "
            "'dx=+0.34 dy=-0.02 dyaw=+12', nor controls; a sentence is an instruction"
        )
    return command


def read_instruction(words: str, steps: int, actions: ActionFormat) -> Script:
    """Returns the script of a sentence, whose text before each view states the progress.

    Raises:
        UserError: it is empty, too long, or names a pose or keys.
    """
    if not words.strip():
        raise UserError("the instruction is empty; say what to do, such as 'turn left'")
    commands = [read_command(words, actions, number=n + 1, of=steps) for n in range(steps)]
    if not commands[0].is_spoken:
        raise UserError(
            f"{words!r} is a pose, controls or keys, which are actions, and no instruction"
        )
    return Script(words.strip(), tuple(commands))


def numeric_views(
    pretrained: Pretrained, sampling: SamplingSettings, scripts: Sequence[Script], *, direct: bool
) -> WorldModel:
    """Returns a world model for the numeric scripts: step by step, or each view in one step.

    Raises:
        UserError: the model was trained without actions, or direct steps lead too far for it.
    """
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
    """Returns the views of each script, uint8 [S, H, W, 3], all with the same noise seed.

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
                    f"the instruction {script.name!r} over {len(script.commands)} views: {error}. "
                    "Lower the views, or say it shorter"
                ) from error
    return [views[number] for number in range(len(scripts))]
