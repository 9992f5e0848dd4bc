"""How long and how the decoder trains, and what it minimises."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from chiasm.errors import setting
from chiasm.flow import FlowSettings, LossSpace, StreamFlow
from chiasm.loop.settings import LoopSettings
from chiasm.model.settings import ActivationCheckpointing
from chiasm.settings import Settings


class StreamObjective(StreamFlow):
    """What differs for one stream; what is left out is as for all."""

    flow_weight: float | None = Field(None, ge=0)
    """Weight of its mean flow loss."""


class InnerObjective(Settings):
    """How the head in the middle of the decoder counts (``model.inner``)."""

    weight: float = Field(1.5, ge=0)
    """Weight of its mean loss: the flow loss, or the cosine distance to the average's states."""
    until_step: int | None = Field(None, ge=1)
    """The step by which its gradient no longer reaches the blocks: the share that does falls
    linearly from the first step on, while the head itself goes on learning. None: all of it does,
    always."""

    def share(self, step: int) -> float:
        """Returns how much of the head's gradient reaches the blocks after ``step`` steps."""
        return 1.0 if self.until_step is None else max(0.0, 1.0 - step / self.until_step)


class ObjectiveSettings(FlowSettings):
    """What is predicted, how it is compared, and how much it weighs."""

    loss_space: LossSpace = "v"
    """In what prediction and truth are compared."""
    text_weight: float = Field(1.0, ge=0)
    """Weight of the mean cross-entropy, in nats per predicted token."""
    flow_weight: float = Field(3.0, ge=0)
    """Weight of the mean flow loss of each stream, squared error per channel."""
    inner: InnerObjective = InnerObjective()
    """How the head in the middle counts."""
    load_balance_weight: float = Field(0.01, ge=0)
    """Weight of the routers' balance loss, mean over blocks; 1 where every expert is used alike."""
    router_z_weight: float = Field(0.0, ge=0)
    """Weight of the routers' z-loss, mean over blocks."""
    context_noise: float = Field(0.0, ge=0, lt=1)
    """Most noise on given items, such as the views so far: their flow time is drawn between 1 less
    this and 1, and told; 0 leaves them clean. Then what a model made itself may be read back with
    noise (``history_noise``), and its errors hide in it."""
    streams: dict[str, StreamObjective] = Field(default_factory=dict)  # type: ignore[assignment]
    """What differs for streams, by their names."""

    @property
    def flow(self) -> FlowSettings:
        """What a trained model keeps of these."""
        names, weights = set(FlowSettings.model_fields), {"streams": {"__all__": {"flow_weight"}}}
        return FlowSettings(**self.model_dump(include=names, exclude=weights))


class InitializeSettings(Settings):
    """What a run begins with instead of random weights."""

    model: str | None = None
    """A run, a saved model or a hub id: its text tokenizer is taken, and its weights by name; a
    larger vocabulary gets new rows, items of another grid stretched places."""
    branch: Path | None = None
    """A run that this one goes on from: weights, optimizer, counters and position in the data of
    one of its checkpoints. Data, model and kind of optimizer must be the same; the other settings
    are this run's."""
    branch_step: int | None = Field(None, ge=1)
    """Steps of that checkpoint; None: the newest."""

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.model is not None and self.branch is not None:
            why = f"is set, and so is {setting('model')}: a run has one beginning"
            raise self.error("branch", why, "leave one of them out")
        if self.branch_step is not None and self.branch is None:
            why = f"is of a checkpoint of {setting('branch')}, which is not set"
            raise self.error("branch_step", why, "name the run, or leave it out")
        return self


class ParallelSettings(Settings):
    """How several ranks share the model; what is computed does not depend on it."""

    shard_ranks: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    """Ranks over which weights, gradients and the optimizer's state are split (FSDP2); each further
    group of as many holds a copy. auto is all ranks of a machine on CUDA, and 1 on CPU, where
    messages cost more than memory."""
    expert_ranks: int = Field(1, ge=1)
    """Ranks over which the routed experts of a block are split; rows travel to them."""
    timeout_seconds: float = Field(600.0, gt=0)
    """Time that ranks wait for one that does not answer before all end."""

    def shards(self, ranks_of_machine: int, device: str) -> int:
        """Returns the number of ranks that weights are split over."""
        if self.shard_ranks == "auto":
            return ranks_of_machine if device == "cuda" else 1
        return self.shard_ranks


class LoraSettings(Settings):
    """Low-rank adapters of the model that a run begins with (LoRA, arXiv 2106.09685): its matrices
    stay, and the product of two thin ones is learned beside each."""

    rank: int = Field(8, ge=1)
    """Width of the thin matrices."""
    scale: float = Field(2.0, gt=0)
    """Factor of their product: what is elsewhere called α over the rank."""
    on: tuple[str, ...] = ("blocks.*",)
    """Matrices between hidden vectors that get one, by patterns of their names."""
    trained: tuple[str, ...] = ()
    """Parameters that are trained whole besides, such as ``token_embedding`` for new tokens."""


class TrainingSettings(LoopSettings):
    """One run of the decoder."""

    gradient_accumulation_steps: int = Field(1, ge=1)
    """Batches whose gradients add up to one step, with counts taken over all of them."""
    router_bias_rate: float = Field(0.0, ge=0)
    """After each step, experts that got less than the mean are preferred by so much more, the
    others by so much less (arXiv 2408.15664 has 1e-3): balance without a loss."""
    validation_batches: int = Field(8, ge=0)
    """Held-out batches of one validation."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto is cuda where there is one."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of matrix products; auto is bfloat16 on CUDA and float32 on CPU. Weights are float32."""
    activation_checkpointing: ActivationCheckpointing = "auto"
    """Compute activations of the blocks again in the backward pass instead of keeping them: none of
    them, all but products and attention (selective), or all (full). auto is full on a CPU where a
    large vocabulary makes it cheap, and none elsewhere."""
    frozen: tuple[str, ...] = ()
    """Parameters that stay as they are, by patterns of their names, such as ``blocks.0.*``."""
    lora: LoraSettings | None = None
    """Train adapters instead of the weights of ``initialize.model``; what is written is the sum of
    both, a model as any other."""
    ema_decay: float | None = Field(None, gt=0, lt=1)
    """Keep an exponential moving average of the weights, with this share of it kept at each step:
    the model that is written, sampled and evaluated is then the average."""
    model_every_steps: int | None = Field(None, ge=1)
    """Steps between writings of model/, so that an unfinished run can be sampled and evaluated;
    None: only at the end."""
    keep_best: str | None = None
    """A loss of the validation, such as ``text_loss``: the model at its lowest value is kept in
    best/ of the run."""
    evaluate_every_steps: int | None = Field(None, ge=1)
    """Steps between evaluations on held-out data with samples, into evaluations/ of the run; of
    several ranks one evaluates and the others wait."""
    evaluated: tuple[str, ...] = ()
    """Sections of those evaluations, such as ``text`` or ``caption to picture``; empty: all. Their
    sizes are those of ``evaluation``."""
    parallel: ParallelSettings = ParallelSettings()
    compile_blocks: bool = False
    """Compile the decoder's blocks with torch.compile. On a CPU this takes half a minute and a C++
    compiler, and gains little; where it fails, the run says so and goes on uncompiled."""

    @property
    def written_on_the_way(self) -> bool:
        """Whether a run's folder gets more than checkpoints and metrics before its end."""
        every = self.model_every_steps, self.keep_best, self.evaluate_every_steps, self.trace_step
        return any(own is not None for own in every)
