"""The decoder's training: what a step reads, and what its losses are.

A step knows the counts of its targets before its first forward pass, so that each loss is a sum
over tokens divided by one number, however the tokens fall into batches. Everything random is keyed
by rows, so that the stream's position is all the state beside the model and its optimizer.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import cached_property, reduce
from itertools import islice
from typing import NamedTuple

import torch

from chiasm.batch.packed import PackedBatch
from chiasm.data.stream import Stream
from chiasm.device import matmul_dtype
from chiasm.errors import found_at, settings_of
from chiasm.loop.groups import build_optimizer, freeze
from chiasm.loop.loop import Loop
from chiasm.loop.metrics import Values
from chiasm.model.decoder import Decoder
from chiasm.model.work import Work
from chiasm.ranks import ALONE, Ranks
from chiasm.tokenizers.statistics import is_standardized
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.training.average import Average
from chiasm.training.losses import Counts, Losses
from chiasm.training.objective import Objective
from chiasm.training.parallel import WHOLE, Placement
from chiasm.training.settings import TrainingSettings
from chiasm.training.speed import peak_flops_per_second
from chiasm.training.tally import tally
from chiasm.training.validation import Validation

CHECKED_ITEMS = 64
"""Items whose latents are looked at before the first step, and batches to find them in."""
DOUBTED_ITEMS = 1024
"""Items that are looked at before latents are refused: the first may all be of one dark film."""


class Read(NamedTuple):
    """What a step read, and what came of it."""

    batches: Sequence[PackedBatch]
    """Of this rank."""
    losses: Losses
    """Of all ranks, detached."""
    flops: int
    """Of the model's products over what was read, forward and back, on all ranks."""


class Trainer(Loop[Read]):
    """The loop that trains the decoder; ``seed`` is of noise and flow times.

    The tokenizers are frozen and lie on the decoder's device. Each rank reads its own rows, and the
    decoder's weights lie on the ranks as ``placement`` says.
    """

    stream: Stream
    settings: TrainingSettings

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
        ranks: Ranks = ALONE,
        placement: Placement = WHOLE,
        tell: Callable[[str], None] = print,
    ) -> None:
        with settings_of("training"):
            freeze(decoder, settings.frozen)
            optimizer = build_optimizer(decoder, settings)
        super().__init__(
            decoder,
            {"gradient_norm": optimizer},
            settings,
            remedy="begin again with a lower training.optimizer.learning_rate or a longer "
            "training.schedule.warmup_steps",
            compiled=settings.compile_blocks,
            stream=stream,
            ranks=ranks,
            tell=tell,
        )
        if settings.frozen:
            fixed = sum(own.numel() for own in decoder.parameters() if not own.requires_grad)
            total = decoder.count_parameters().total
            tell(f"training.frozen: {fixed:,} of {total:,} parameters stay as they are")
        self.placement = placement
        self.average = None
        if settings.ema_decay is not None:
            self.average = Average(decoder, settings.ema_decay)
            self.state.more["average"] = self.average.weights
        self.decoder = decoder
        self.objective = objective
        self.tokenizers = tokenizers
        self.stream = stream
        self.validation = validation
        self.seed = seed
        decoder.compute_dtype = matmul_dtype(self.device, settings.precision)
        decoder.activation_checkpointing = settings.activation_checkpointing

    def prepare(self) -> None:
        """Compile the blocks if that is wanted; on a CPU that cannot, they run as they are."""
        if not self.settings.compile_blocks:
            return
        for block in self.decoder.blocks:  # one short compilation that all blocks share
            block.forward = torch.compile(block.forward)  # type: ignore[method-assign]
        if self.device.type != "cpu":
            return
        try:
            self.rehearse()
        except RuntimeError as error:  # no compiler, or operations that it does not take
            self.compiled = False
            for block in self.decoder.blocks:
                del block.forward
            self.module.zero_grad()
            why = next(iter(str(error).splitlines()), type(error).__name__)
            self.tell(
                f"training.compile_blocks: they cannot be compiled and run as they are: {why}"
            )

    def rehearse(self) -> None:
        """A pass over the stream's next batch, again and again the same."""
        self.backward_of([self._sample])
        self.module.zero_grad()

    @cached_property
    def _sample(self) -> PackedBatch:
        begin = self.stream.get_state()
        sample = next(self.stream)
        self.stream.set_state(begin)
        return sample

    def backward(self) -> Read:
        """Read the step's batches, and add the gradients of its loss."""
        with self.ranks.before_sums():
            batches = self.read()
        return self.backward_of(batches)

    def read(self) -> list[PackedBatch]:
        """Takes the next step's batches from the stream."""
        return [next(self.stream) for _ in range(self.settings.gradient_accumulation_steps)]

    def backward_of(self, batches: Sequence[PackedBatch]) -> Read:
        """Adds the gradients of the loss of a step's batches, over all ranks."""
        counts, flops = Counts.of(batches).over(self.ranks, self.flops(batches))
        found = []
        for batch in batches:
            moved = batch.to(self.device)
            latents = self.tokenizers.encode(moved.slots)
            losses = self.objective.losses(
                self.decoder,
                moved,
                latents,
                self.seed,
                step=self.progress.step,
                average=self.average,
            )
            self.objective.total(losses, counts).backward()
            found.append(losses.detach())
        self.placement.sum_gradients()
        return Read(batches, reduce(operator.add, found).over(self.ranks), flops)

    def flops(self, batches: Sequence[PackedBatch]) -> int:
        """Returns the FLOPs of the model's products in a step over this rank's batches."""
        return sum(self.decoder.training_flops(Work.useful(batch)) for batch in batches)

    def after_update(self, found: Read) -> None:
        """Shift the routers' balance, and move the average of the weights."""
        if self.average is not None:
            self.average.update(self.progress.step + 1)
        if self.settings.router_bias_rate:
            self.decoder.update_expert_bias(found.losses.load_QXE, self.settings.router_bias_rate)

    def report(self, found: Read) -> tuple[Values, dict[str, int]]:
        """Losses; positions that are not padding, and the model's products, forward and back."""
        names, modalities = found.batches[0].source_names, found.batches[0].streams.modalities
        losses = tally(found.losses, self.objective, names, modalities)
        tokens = int(found.losses.position_count)
        return losses, {"tokens": tokens, "flops": found.flops}

    def speed(self, found: Read, counts: dict[str, int], seconds: float) -> Values:
        """Tokens, positions with padding, and the share of the machine's peak."""
        positions = sum(batch.num_rows * batch.num_positions for batch in found.batches)
        positions *= self.ranks.size
        peak = self.ranks.size * peak_flops_per_second(self.device, self.decoder.compute_dtype)
        return {
            "tokens_per_second": counts["tokens"] / seconds,
            "positions_per_second": positions / seconds,
            "mfu_exact": counts["flops"] / seconds / peak,
        }

    def validate(self) -> Values:
        """Losses on the held-out batches; those of the average begin with ``average/``."""
        if self.validation is None:
            return {}
        values = self.validation.run(self.decoder, self.objective)
        if self.average is not None:
            with self.average.in_use():
                averaged = self.validation.run(self.decoder, self.objective)
            values |= {f"average/{name}": value for name, value in averaged.items()}
        return values

    def begin(self) -> None:
        """Refuse latents that are not standardized, by the first items of the stream."""
        state = self.stream.get_state()
        seen: dict[str, torch.Tensor] = {}
        items = 0
        for batch in islice(self.stream, CHECKED_ITEMS):
            for name, z_LC in self.tokenizers.encode(batch.to(self.device).slots).items():
                seen[name] = torch.cat([seen[name], z_LC]) if name in seen else z_LC
            items += sum(map(len, batch.slots.values()))
            fine = all(is_standardized(found) for found in seen.values() if len(found))
            if items >= (CHECKED_ITEMS if fine else DOUBTED_ITEMS):
                break
        self.stream.set_state(state)
        with self.ranks.together():
            for name, found in seen.items():
                if len(found):
                    with found_at(f"streams.{name}"):
                        self.tokenizers[name].statistics.refuse(found)
