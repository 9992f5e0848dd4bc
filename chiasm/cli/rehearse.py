"""chiasm rehearse: what one rank of a training would need, without a device and without data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from chiasm.cli.options import RecipeFile, check_file, overrides
from chiasm.errors import UserError
from chiasm.recipe import Recipe, load_recipe

if TYPE_CHECKING:
    from chiasm.assembly.footprint import Footprint

MEMORY = {
    "parameters": "parameters, float32",
    "gradients": "gradients, float32",
    "optimizer": "the optimizer's state",
    "average": "moving average of weights",
    "activations": "kept from a batch's forward pass",
    "gathered_root": "weights outside the blocks, gathered from forward to backward pass",
    "gathered_block": "weights of the largest block, gathered for its passes",
    "peak": "peak",
}
"""What each part of the memory is called."""


def rehearse(
    recipe: RecipeFile,
    ranks: Annotated[int, typer.Option(min=1, help="Ranks that train together.")] = 1,
    device: Annotated[str, typer.Option(help="What is planned for; cuda alone.")] = "cuda",
    machine_ranks: Annotated[
        int, typer.Option(min=1, help="Ranks of one machine, which shard_ranks = auto takes.")
    ] = 8,
    set_: Annotated[list[str] | None, overrides("stream.batch_size=256")] = None,
    json_: Annotated[
        Path | None, typer.Option("--json", help="A file for the same numbers.")
    ] = None,
) -> None:
    """What one rank would need for a training step: memory, messages, FLOPs, waits.

    The step is taken on tensors that have shapes alone: no device is used, no data is read.
    """
    if device != "cuda":
        raise UserError(f"--device {device}: steps are planned for cuda alone")
    if json_ is not None:
        check_file(json_)
    settings = load_recipe(recipe, set_ or [])
    from chiasm.assembly.footprint import footprint  # imports torch

    found = footprint(settings, ranks, machine_ranks)
    told = assumptions(settings, found, machine_ranks)
    console = Console()
    for table in (_memory(found), _traffic(found), _waits(found)):
        console.print(table)
    print(
        f"products of a step: {found.flops:.3e} FLOPs on this rank, {found.flops * ranks:.3e} on "
        f"all; {found.product_flops:.3e} on this rank without attention, with what is "
        "computed again"
    )
    for line in told:
        print(f"assumed: {line}")
    if json_ is not None:
        json_.write_text(json.dumps(as_json(found, told), indent=1) + "\n")
        print(f"the numbers are in {json_}")


def assumptions(recipe: Recipe, found: Footprint, machine_ranks: int) -> list[str]:
    """Returns what the numbers hold for, one sentence each."""
    training = recipe.training
    split = f"weights over {found.shard_ranks} ranks" if found.shard_ranks > 1 else "copied weights"
    if found.expert_ranks > 1:
        split += f", routed experts over {found.expert_ranks}, which get as many rows each"
    told = [
        f"rank 0 of {found.ranks} ({machine_ranks} on a machine), {split}",
        f"{found.batches} batch(es) of {found.rows} full rows of {found.positions} positions: up "
        "to half of them latents of items behind captions, one document of text",
        f"training.precision = {training.precision}, activation_checkpointing = "
        f"{training.activation_checkpointing}, optimizer {training.optimizer.kind}",
        "operations take the way of CUDA, uncompiled; FlexAttention is counted by the shapes of "
        "what it allocates",
        "not counted: CUDA's context, NCCL's buffers, gaps between blocks of memory, encoders of "
        "pictures (latents are there), what ranks tell each other through the CPU",
    ]
    if training.compile_blocks:
        told.append("training.compile_blocks is not rehearsed: it would keep fewer activations")
    return told


def as_json(found: Footprint, told: list[str]) -> dict[str, Any]:
    """Returns the numbers as plain values; bytes are of one rank."""
    sizes = ("ranks", "shard_ranks", "expert_ranks", "rows", "positions", "batches")
    return {
        **{name: getattr(found, name) for name in sizes},
        "parameters": found.parameters.__dict__,
        "memory_bytes": found.memory._asdict(),
        "peak_phase": found.peak_phase,
        "collectives": {kind: own._asdict() for kind, own in found.traffic.items()},
        "flops": {
            "step": found.flops,
            "step_of_all_ranks": found.flops * found.ranks,
            "products_without_attention": found.product_flops,
        },
        "waits": [
            {"phase": phase, **place._asdict(), "times": times}
            for (phase, place), times in found.waits.items()
        ],
        "assumptions": told,
    }


def _memory(found: Footprint) -> Table:
    total, active = found.parameters.total, found.parameters.active
    table = Table("memory of rank 0", title=f"{total:,} parameters, {active:,} of a position")
    table.add_column("bytes", justify="right")
    table.add_column("GiB", justify="right")
    for name, size in found.memory._asdict().items():
        called = f"peak, in the {found.peak_phase} pass" if name == "peak" else MEMORY[name]
        if size:
            table.add_row(called, f"{size:,}", f"{size / 2**30:.3f}")
    return table


def _traffic(found: Footprint) -> Table:
    table = Table("collectives of a step")
    for column in ("calls", "bytes", "GiB"):
        table.add_column(column, justify="right")
    for kind, own in sorted(found.traffic.items()):
        table.add_row(kind, str(own.calls), f"{own.bytes:,}", f"{own.bytes / 2**30:.3f}")
    return table


def _waits(found: Footprint) -> Table:
    table = Table("the host waits for the device", "while", "by")
    table.add_column("times", justify="right")
    for (phase, place), times in found.waits.items():
        table.add_row(f"{place.file}:{place.line}", phase, place.operation, str(times))
    return table
