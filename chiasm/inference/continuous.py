"""A batch that requests join and leave between its steps.

Each step is a token for all that write, and one piece of the others' work besides:

    JOINED      the prompts of some that joined are read                → WRITING, OPENING
    OPENING     the marks behind which some generate are read           → SOLVING
    SOLVING     one velocity of all items of one shape, each at its own time; or what is held by
                those that generate them is copied, when another one has joined or left: their rows
                may then move while text is written                     → FINISHED
    FINISHED    some items are decoded, or sketches of some that are not finished    → DECODED
    DECODED     some are read as part of the history                    → WRITING, OPENING

So text waits for no more than one of them, however many draw. What a request gives is what
:class:`~chiasm.inference.batch.Batch` would give, but for the rounding of an item's last bits.

Shape suffixes: N items, P latent tokens of one item, C latent channels.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from math import ceil

import torch
from torch import Tensor

from chiasm.batch.streams import IMAGE, StreamShape
from chiasm.documents import Continuous
from chiasm.inference.canvas import Canvas
from chiasm.inference.choice import item_noise
from chiasm.inference.continuation import Continuation
from chiasm.inference.history import History
from chiasm.inference.passage import Passage
from chiasm.inference.passes import Passes
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import Event, Request, SamplingSettings
from chiasm.inference.solvers import Solution, time_grid

PROMPT_POSITIONS = 512
"""Positions of prompts that are read in one step; a longer prompt is read alone."""
DECODED_AT_ONCE = 4
"""Items that are decoded in one step."""
SKETCHES = 6
"""Sketches of an item on its way, about, where few draw."""
STEPS_PER_SKETCH = 3
"""Velocities between two times that sketches are decoded, where several draw."""


@dataclass(frozen=True)
class Sketched:
    """How far an item is, and now and then what it will be, as far as the model knows."""

    request: int
    step: int
    """Solver steps that are done."""
    steps: int
    item: Continuous | None = None


class _Phase(Enum):
    """What is due for a request, as the module's docstring has it."""

    JOINED = auto()
    WRITING = auto()
    OPENING = auto()
    SOLVING = auto()
    FINISHED = auto()
    DECODED = auto()


_Pool = tuple[StreamShape, bool, bool]
"""What items that are solved together share: shape, guidance or none, guidance inside or none."""


@dataclass(eq=False)
class _Running:
    """One request and its item on the way."""

    of: Continuation
    watched: bool
    phase: _Phase = _Phase.JOINED
    shape: StreamShape = field(init=False)
    solution: Solution = field(init=False)
    """Of the last item that was opened."""
    sketch_PC: Tensor | None = None
    """Estimated clean latents that are to be shown."""

    @property
    def pool(self) -> _Pool:
        """What its item is solved with."""
        settings = self.of.settings
        return self.shape, settings.guidance != 1, settings.inner_guidance != 1


class ContinuousBatch:
    """Requests that run together, each from when it joins.

    Args:
        pretrained: the model.
        rows: most requests at once.
        tell: called with each event as it happens.
    """

    def __init__(
        self, pretrained: Pretrained, rows: int, tell: Callable[[Event | Sketched], None]
    ) -> None:
        self._pretrained, self._tell = pretrained, tell
        history = History(pretrained.decoder, rows, pretrained.context_positions)
        self._passes = Passes(pretrained, history)
        self._free = list(range(rows))
        self._velocities = 0
        """Taken since sketches were decoded."""
        self._running: dict[int, _Running] = {}
        self._canvases: dict[_Pool, tuple[list[_Running], Canvas]] = {}
        self._turns = deque(
            [self._read_some, self._open_some, self._solve_one, self._decode_some, self._close_some]
        )

    @property
    def free(self) -> int:
        """Number of requests that may join."""
        return len(self._free)

    @property
    def is_empty(self) -> bool:
        """Whether nothing runs."""
        return not self._running

    def join(
        self,
        number: int,
        request: Request,
        settings: SamplingSettings,
        prompt: Passage,
        *,
        watched: bool = False,
    ) -> Continuation:
        """Lets a request begin with the next step; returns what will follow it.

        Args:
            number: its number in all events.
            request: one that ``Sampler.prompts`` takes.
            settings: its own.
            prompt: its prompt.
            watched: whether its items are told on their way, as :class:`Sketched`.
        """
        member = self._free.pop()
        self._passes.history.clear(member)
        of = Continuation(
            self._pretrained,
            request,
            settings,
            prompt,
            number=number,
            member=member,
            tell=self._tell,
        )
        self._running[number] = _Running(of, watched)
        return of

    def leave(self, number: int) -> None:
        """Drops a request; one that has ended has left."""
        if (gone := self._running.pop(number, None)) is not None:
            self._free.append(gone.of.member)

    @torch.inference_mode()
    def step(self) -> None:
        """Writes a token of each that writes, and does one piece of the others' work."""
        if writing := self._in(_Phase.WRITING):
            self._passes.write(self._gathered(writing))
            self._go_on(writing)
        for _ in range(len(self._turns)):
            self._turns.rotate(-1)
            if self._turns[-1]():
                break

    def _read_some(self) -> bool:
        some: list[_Running] = []
        positions: dict[int, int] = {}
        for each in self._in(_Phase.JOINED):
            positions[id(each.of.request.spans)] = len(each.of.prompt)
            if some and sum(positions.values()) > PROMPT_POSITIONS:
                break
            some.append(each)
        if some:
            self._passes.read_prompts([each.of for each in some])
            for each in some:
                each.of.end_if_spent()
            self._go_on(some)
        return bool(some)

    def _open_some(self) -> bool:
        opening = self._alike(_Phase.OPENING)
        if any(each.of.request.script for each in opening):
            opening = opening[:1]  # texts of several lengths may need more slots than there are
        if not opening:
            return False
        shape = opening[0].shape
        self._passes.open_items(self._gathered(opening), shape)
        for each in opening:
            settings = each.of.settings
            noise_PC = item_noise(each.of.request.seed, each.of.num_items, shape)
            times = time_grid(settings.steps, self._pretrained.shift(shape))
            each.solution = Solution(noise_PC.to(self._pretrained.device), times, settings.solver)
            each.phase = _Phase.SOLVING
        return True

    def _solve_one(self) -> bool:
        """Takes one velocity of one pool, or makes its canvas anew; the pools take turns."""
        pools: dict[_Pool, list[_Running]] = {}
        for each in self._in(_Phase.SOLVING):
            pools.setdefault(each.pool, []).append(each)
        if not pools:
            self._canvases.clear()
            return False
        # Those that never had a turn come first, then those whose last one is longest ago.
        turns = [pool for pool in self._canvases if pool in pools]
        pool = next(iter([*(pool for pool in pools if pool not in turns), *turns]))
        group, canvas = self._canvases.pop(pool, ([], None))
        if canvas is None or set(group) != set(pools[pool]):
            group, canvas = self._canvas(pools[pool])
        else:
            self._advance(group, canvas)
        self._canvases = {kept: self._canvases[kept] for kept in turns if kept != pool}
        if all(each.phase == _Phase.SOLVING for each in group):  # one that ended begins others
            self._canvases[pool] = group, canvas
        return True

    def _canvas(self, drawing: list[_Running]) -> tuple[list[_Running], Canvas]:
        running = {each.of: each for each in drawing}
        group = [running[of] for of in self._gathered(drawing)]
        shape, guided, inside = group[0].pool
        settings, members = zip(
            *((each.of.settings, each.of.member) for each in group), strict=True
        )
        guidance = [own.guidance for own in settings] if guided else 1.0
        inner = [own.inner_guidance for own in settings] if inside else 1.0
        told = guidance, inner, [own.told_step for own in settings]
        history = self._passes.history
        return group, Canvas(self._pretrained, shape, history, members, *told, apart=True)

    def _advance(self, group: list[_Running], canvas: Canvas) -> None:
        times = [each.solution.time for each in group]
        z_NPC = torch.stack([each.solution.point for each in group])
        velocity_NPC = canvas.velocity(z_NPC, times)
        self._velocities += 1
        for each, time, velocity_PC in zip(group, times, velocity_NPC, strict=True):
            solution, before = each.solution, each.solution.steps
            estimate_PC = solution.point + (1 - time) * velocity_PC
            solution.advance(velocity_PC)
            if solution.ended:
                each.phase, each.sketch_PC = _Phase.FINISHED, None
            elif each.watched and solution.steps > before:
                steps = each.of.settings.steps
                self._tell(Sketched(each.of.number, solution.steps, steps))
                if each.shape.name == IMAGE and solution.steps % ceil(steps / SKETCHES) == 0:
                    each.sketch_PC = estimate_PC

    def _decode_some(self) -> bool:
        finished = self._alike(_Phase.FINISHED)[:DECODED_AT_ONCE]
        if not finished:
            return self._sketch_some()
        z_NPC = torch.stack([each.solution.point for each in finished])
        self._passes.finish_items([each.of for each in finished], finished[0].shape, z_NPC)
        for each in finished:
            each.phase = _Phase.DECODED
            self._leave_if_ended(each)
        return True

    def _sketch_some(self) -> bool:
        solving = self._in(_Phase.SOLVING)
        wanted = [each for each in solving if each.sketch_PC is not None]
        wanted = [each for each in wanted if each.shape == wanted[0].shape][:DECODED_AT_ONCE]
        if not wanted or self._velocities < min(STEPS_PER_SKETCH, len(solving)):
            return False
        self._velocities = 0
        z_NPC = torch.stack([each.sketch_PC for each in wanted if each.sketch_PC is not None])
        items = self._pretrained.tokenizers.decode(wanted[0].shape, z_NPC)
        for each, item in zip(wanted, items, strict=True):
            each.sketch_PC = None
            done, steps = each.solution.steps, each.of.settings.steps
            self._tell(Sketched(each.of.number, done, steps, item))
        return True

    def _close_some(self) -> bool:
        decoded = self._alike(_Phase.DECODED)
        if not decoded:
            return False
        running = {each.of: each for each in decoded}
        group = self._gathered(decoded)
        z_NPC = torch.stack([running[of].solution.point for of in group])
        self._passes.close_items(group, decoded[0].shape, z_NPC)
        self._go_on(decoded)
        return True

    def _in(self, phase: _Phase) -> list[_Running]:
        return [each for each in self._running.values() if each.phase == phase]

    def _alike(self, phase: _Phase) -> list[_Running]:
        """Returns those in a phase whose items have the shape of the first one's."""
        found = self._in(phase)
        return [each for each in found if each.shape == found[0].shape]

    def _gathered(self, group: list[_Running]) -> list[Continuation]:
        return self._passes.gathered([each.of for each in group])

    def _go_on(self, group: list[_Running]) -> None:
        """Lets each write, or open the item that is due, unless it has ended."""
        for each in group:
            each.phase = _Phase.OPENING if each.of.stream else _Phase.WRITING
            if each.of.stream:
                each.shape = each.of.shape
            self._leave_if_ended(each)

    def _leave_if_ended(self, each: _Running) -> None:
        if each.of.ended:
            self.leave(each.of.number)
