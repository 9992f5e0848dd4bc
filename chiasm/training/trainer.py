"""The training loop: one step reads from top to bottom in :meth:`Trainer.step`.

Choices:

- A step knows the counts of its targets before its first forward pass, so that each loss is a sum
  over tokens divided by one number, however the tokens fall into batches.
- The horizon is a number of steps, never a time: a run is a function of its recipe.
- Everything random is keyed by (seed, lane, row, purpose), so that the state to save is the model,
  the optimiser, the stream's position and a few counters.
- Weights are float32. Matrix products run in float32 on CPU, where algorithms are deterministic,
  and in bfloat16 on CUDA, where blocks may be compiled one by one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

from chiasm.batch.packed import PackedBatch
from chiasm.data.stream import Stream
from chiasm.device import compile_blocks, deterministic_on_cpu, matmul_dtype
from chiasm.errors import UserError
from chiasm.model import Decoder, Work
from chiasm.model.work import FORWARD_AND_BACKWARD
from chiasm.stop import StopRequest
from chiasm.threads import Threads, given_threads
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.training.checkpoint import Checkpoints
from chiasm.training.metrics import MetricsLog
from chiasm.training.objective import Counts, Losses, Objective
from chiasm.training.optimiser import build_optimiser, set_learning_rate
from chiasm.training.progress import Outcome, Progress, StepReport
from chiasm.training.schedule import learning_rate_share
from chiasm.training.settings import TrainingSettings
from chiasm.training.speed import peak_flops_per_second, synchronise
from chiasm.training.tally import tally
from chiasm.training.validation import Validation

CHECKED_ITEMS = 64
"""Items whose latents are looked at before the first step, and batches to find them in."""


class Trainer:
    """Trains ``decoder`` in place; nothing is written before :meth:`train`.

    Args:
        decoder: the model, already on its device.
        objective: gives the losses.
        tokenizers: the frozen tokenizers of its streams, on the same device.
        stream: endless packed batches.
        validation: held-out batches, or None.
        settings: of the run, its optimiser and its schedule.
        seed: of noise and flow times.
        tell: receives one line about anything the user should know.
    """

    def __init__(
        self,
        decoder: Decoder,
        objective: Objective,
        tokenizers: StreamTokenizers,
        stream: Stream,
        validation: Validation | None,
        settings: TrainingSettings,
        *,
        seed: int,
        tell: Callable[[str], None] = print,
    ) -> None:
        self.decoder = decoder
        self.objective = objective
        self.tokenizers = tokenizers
        self.stream = stream
        self.validation = validation
        self.settings = settings
        self.seed = seed
        self.tell = tell
        self.device = decoder.device
        self.progress = Progress()
        self.optimiser = build_optimiser(decoder, settings.optimiser)
        self._dtype = matmul_dtype(self.device, settings.precision)
        decoder.compute_dtype = self._dtype
        if settings.compile_blocks:
            compile_blocks(decoder.blocks)

    def train(
        self, folder: Path, on_step: Callable[[StepReport], None] = lambda report: None
    ) -> Outcome:
        """Go on from the newest checkpoint in ``folder``, or begin, until the last step.

        SIGTERM and Ctrl-C end the run after the step at hand, with a checkpoint.

        Raises:
            UserError: latents that are not standardised, gradients that stay not finite, a full
                disk, or checkpoints that are all damaged.
        """
        checkpoints = Checkpoints(folder / "checkpoints", self.settings.keep_checkpoints, self.tell)
        with deterministic_on_cpu(self.device):
            if not self._resume(checkpoints):
                self._refuse_unstandardised_latents()
            log = MetricsLog(folder, self.progress.step)
            threads = self.threads(folder / "threads.json")
            try:
                with threads.in_use(self.progress.step, self.rehearse):
                    return self._loop(checkpoints, log, on_step, threads.after_step)
            finally:
                log.close()

    def threads(self, record: Path | None, given: int | None = None) -> Threads:
        """What decides the number of threads; compiled blocks keep the one they were made for.

        ``record`` and ``given`` are those of :class:`~chiasm.threads.Threads`.
        """
        if self.device.type != "cpu":
            return Threads(None, given=torch.get_num_threads())
        given = given or given_threads()
        if self.settings.compile_blocks:
            given = given or torch.get_num_threads()
        return Threads(record, given=given, tell=self.tell)

    def rehearse(self) -> None:
        """One forward and one backward pass over the stream's next batch, without a trace."""
        self._backward([self._sample])
        self.optimiser.zero_grad()

    @cached_property
    def _sample(self) -> PackedBatch:
        begin = self.stream.get_state()
        sample = next(self.stream)
        self.stream.set_state(begin)
        return sample

    def step(self) -> StepReport:
        """One update of the weights; skipped where the gradient is not finite.

        Raises:
            UserError: it was not finite too many times in a row.
        """
        begin_seconds = time.perf_counter()
        settings, progress = self.settings, self.progress
        batches = [next(self.stream) for _ in range(settings.batches_per_step)]
        learning_rate = settings.optimiser.learning_rate * learning_rate_share(
            settings.schedule, progress.step, settings.steps
        )
        losses = self._backward(batches)
        gradient_norm = nn.utils.clip_grad_norm_(self.decoder.parameters(), settings.clip_norm)
        finite = bool(torch.isfinite(gradient_norm))
        if finite:
            set_learning_rate(self.optimiser, learning_rate)
            self.optimiser.step()
            if settings.balance_rate:
                self.decoder.shift_balance(losses.load_QXE, settings.balance_rate)
        self.optimiser.zero_grad()
        flops = self._count(batches, finite)
        values = self._tally(losses, batches[0]) | {
            "gradient_norm": float(gradient_norm),
            "learning_rate": learning_rate,
            "tokens": progress.tokens,
            "flops": progress.flops,
            "skipped_steps": progress.skipped_steps,
        }
        synchronise(self.device)
        timing = self._timing(batches, flops, time.perf_counter() - begin_seconds)
        self._refuse_repeated_failure(learning_rate)
        return StepReport(progress.step, values, timing)

    def _tally(self, losses: Losses, batch: PackedBatch) -> dict[str, float]:
        return tally(losses, self.objective, batch.source_names, batch.streams.modalities)

    def _backward(self, batches: Sequence[PackedBatch]) -> Losses:
        """Gradients of the step's loss; the losses themselves are given back detached."""
        counts = Counts.of(batches)
        total: Losses | None = None
        for batch in batches:
            moved = batch.to(self.device)
            latents = self.tokenizers.encode(moved.slots)
            losses = self.objective.losses(self.decoder, moved, latents, self.seed)
            self.objective.total(losses, counts).backward()
            total = losses.detach() if total is None else total + losses.detach()
        assert total is not None
        return total

    def _count(self, batches: Sequence[PackedBatch], finite: bool) -> int:
        progress = self.progress
        flops = FORWARD_AND_BACKWARD * sum(
            self.decoder.forward_flops(Work.useful(batch)) for batch in batches
        )
        progress.step += 1
        progress.flops += flops
        progress.tokens += sum(batch.num_filled for batch in batches)
        progress.skipped_steps += not finite
        progress.skipped_in_a_row = 0 if finite else progress.skipped_in_a_row + 1
        return flops

    def _timing(
        self, batches: Sequence[PackedBatch], flops: int, seconds: float
    ) -> dict[str, float]:
        positions = sum(batch.num_rows * batch.num_positions for batch in batches)
        tokens = sum(batch.num_filled for batch in batches)
        return {
            "seconds": seconds,
            "tokens_per_second": tokens / seconds,
            "positions_per_second": positions / seconds,
            "threads": torch.get_num_threads(),
            "mfu_exact": flops / seconds / peak_flops_per_second(self.device, self._dtype),
        }

    def _loop(
        self,
        checkpoints: Checkpoints,
        log: MetricsLog,
        on_step: Callable[[StepReport], None],
        after_step: Callable[[int, float], None],
    ) -> Outcome:
        settings, progress = self.settings, self.progress
        saved_step = progress.step
        with StopRequest() as stop:
            while progress.step < settings.steps and stop.signal is None:
                report = self.step()
                after_step(progress.step, report.timing["seconds"])
                last = progress.step == settings.steps
                if last or progress.step % settings.log_every_steps == 0:
                    log.write("train", progress.step, report.values, report.timing)
                if self.validation and (last or progress.step % settings.validate_every_steps == 0):
                    values = self.validation.run(self.decoder, self.objective)
                    log.write("validation", progress.step, values, {})
                if last or stop.signal or progress.step % settings.checkpoint_every_steps == 0:
                    self._save(checkpoints, log)
                    saved_step = progress.step
                on_step(report)
            if saved_step < progress.step:  # the signal came while the step was told
                self._save(checkpoints, log)
        return Outcome(progress.step, progress.step == settings.steps, stop.signal)

    def _save(self, checkpoints: Checkpoints, log: MetricsLog) -> None:
        log.sync()
        progress = {"counters": asdict(self.progress), "stream": self.stream.get_state()}
        checkpoints.save(self.progress.step, self._tensors(), progress)

    def _resume(self, checkpoints: Checkpoints) -> bool:
        tensors = self._tensors()
        progress = checkpoints.restore(tensors)
        if progress is None:
            return False
        set_state_dict(
            self.decoder,
            self.optimiser,
            model_state_dict=tensors["model"],
            optim_state_dict=tensors["optimiser"],
        )
        torch.set_rng_state(tensors["random"])
        self.stream.set_state(progress["stream"])
        self.progress = Progress(**progress["counters"])
        self.tell(f"going on from step {self.progress.step} of {self.settings.steps}")
        return True

    def _tensors(self) -> dict[str, Any]:
        model, optimiser = get_state_dict(self.decoder, self.optimiser)
        return {"model": model, "optimiser": optimiser, "random": torch.get_rng_state()}

    def _refuse_unstandardised_latents(self) -> None:
        """Look at the first items of the stream, and put it back where it was."""
        begin = self.stream.get_state()
        seen: dict[str, list[torch.Tensor]] = {name: [] for name in self.tokenizers}
        items = 0
        for _ in range(CHECKED_ITEMS):
            batch = next(self.stream).to(self.device)
            for name, z_LC in self.tokenizers.encode(batch.slots).items():
                seen[name].append(z_LC)
            items += sum(map(len, batch.slots.values()))
            if items >= CHECKED_ITEMS:
                break
        self.stream.set_state(begin)
        for name, latents in seen.items():
            found = torch.cat(latents)
            if len(found):
                self.tokenizers[name].statistics.refuse(found)

    def _refuse_repeated_failure(self, learning_rate: float) -> None:
        failures = self.progress.skipped_in_a_row
        if failures >= self.settings.non_finite_limit:
            raise UserError(
                f"training stopped at step {self.progress.step}: the gradient was not finite in "
                f"{failures} steps in a row (training.non_finite_limit), at learning rate "
                f"{learning_rate:.3g}. The weights are those of the last finite step; begin again "
                "with a lower training.optimiser.learning_rate or a longer "
                "training.schedule.warmup_steps"
            )
