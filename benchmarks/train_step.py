"""Training speed: elements per second here, in transfusion-pytorch, and the share of the peak.

One run measures three things in turn, round after round, so that a machine that slows down slows
all of them: a training step of chiasm, a training step of the peer (`transfusion-pytorch`,
github.com/lucidrains/transfusion-pytorch, if it is installed), and a float32 matrix product. A
step is forward, backward, gradient clipping and AdamW; an element is a text or latent position.
Both models have the same width, depth, heads (no grouped keys), head width, hidden width,
vocabulary, and read the same text and latents (see workloads.py): once as rows of equal length,
where nobody pads, and once as the documents of a step of the quickstart, as each of them takes
documents in.

MFU is exact: the decoder's own count over the mask's own pairs, three times the forward pass,
against the fastest matrix product of the run.

    python benchmarks/train_step.py [--widths 192 512] [--rounds 5] [--depth 5] [--seeds 0 1 2]
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from record import write_record
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from workloads import GRID, VOCABULARY, Workload, equal_rows, stream_documents

from chiasm.batch.streams import IMAGE
from chiasm.device import keep_freed_memory
from chiasm.model.decoder import Decoder
from chiasm.model.settings import ModelSettings
from chiasm.model.work import FORWARD_AND_BACKWARD, Work
from chiasm.recipe import load_recipe
from chiasm.training.losses import Counts
from chiasm.training.objective import Objective
from chiasm.training.settings import ObjectiveSettings

INSTALL = (
    "The peer is not installed, so only chiasm is measured. Into a virtual environment of its "
    "own, beside chiasm:\n    pip install transfusion-pytorch"
)
RECIPE = Path(__file__).parents[1] / "recipes" / "quickstart.toml"
CHANNELS = 64
"""Channels of a latent."""

PEAK_SIDE = 2048


@dataclass(frozen=True)
class Measured:
    """Seconds of each round."""

    ours: list[float]
    peer: list[float]
    product: list[float]


def optimized(model: nn.Module, loss: Callable[[], Tensor]) -> Callable[[], None]:
    """A whole training step, the same for both models; freed memory is kept, as the loop has it."""
    keep_freed_memory(next(model.parameters()).device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        loss().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def model_heads(width: int) -> int:
    """As many as leave 64, or else 32, numbers to each."""
    return width // 64 if width % 64 == 0 else width // 32


def our_step(
    width: int, depth: int, seed: int, workload: Workload
) -> tuple[Callable[[], None], int]:
    """The step and its FLOPs."""
    batch, heads = workload.batch, model_heads(width)
    settings = ModelSettings(
        width=width, depth=depth, query_heads=heads, key_value_heads=heads, experts="modality"
    )
    decoder = Decoder(settings, vocabulary=VOCABULARY, streams=batch.streams, seed=seed)
    objective = Objective(ObjectiveSettings())
    generator = torch.Generator().manual_seed(seed)
    size = workload.latent_positions, batch.streams[IMAGE].channels
    latents = {IMAGE: torch.randn(size, generator=generator)}

    def loss() -> Tensor:
        losses = objective.losses(decoder, batch, latents, seed)
        return objective.total(losses, Counts.of([batch]))

    flops = FORWARD_AND_BACKWARD * decoder.forward_flops(Work.useful(batch))
    return optimized(decoder, loss), flops


def peer_step(
    width: int, depth: int, seed: int, workload: Workload
) -> tuple[Callable[[], None], int, int]:
    """The peer's step, its FLOPs, and the positions it runs, padding included."""
    from transfusion_pytorch import Transfusion

    torch.manual_seed(seed)
    heads = model_heads(width)
    model = Transfusion(
        num_text_tokens=VOCABULARY,
        dim_latent=CHANNELS,
        modality_default_shape=(GRID, GRID),
        transformer={"dim": width, "depth": depth, "heads": heads, "dim_head": width // heads},
        prob_uncond=0.0,
    )
    shapes: list[torch.Size] = []
    model.transformer.register_forward_pre_hook(lambda module, args: shapes.append(args[0].shape))
    samples = workload.samples
    model(samples)
    if workload.equal:  # its own marks make its rows longer: take that from the last text
        surplus = shapes[-1][1] - workload.batch.num_positions
        samples = [[*spans[:-1], spans[-1][: len(spans[-1]) - surplus]] for spans in samples]
    with FlopCounterMode(display=False) as counter:
        model(samples).backward()
    model.zero_grad(set_to_none=True)
    step = optimized(model, lambda: model(samples))
    return step, counter.get_total_flops(), shapes[-1][:2].numel()


def seconds(work: Callable[[], Any], repeats: int) -> float:
    """The median of several runs."""
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return median(times)


def measure(
    ours: Callable[[], None], peer: Callable[[], None] | None, rounds: int, repeats: int = 3
) -> Measured:
    """All three in turn, ``rounds`` times, after a round that is not counted."""
    a, b = torch.randn(2, PEAK_SIDE, PEAK_SIDE).unbind()
    measured = Measured([], [], [])
    for _ in range(rounds + 1):
        measured.ours.append(seconds(ours, repeats))
        measured.product.append(seconds(lambda: a @ b, repeats))
        if peer is not None:
            measured.peer.append(seconds(peer, repeats))
    return Measured(measured.ours[1:], measured.peer[1:], measured.product[1:])


def figures(
    width: int, depth: int, seed: int, rounds: int, workload: Workload, with_peer: bool
) -> dict[str, Any]:
    """One width, seed and workload, measured."""
    ours, flops = our_step(width, depth, seed, workload)
    peer, peer_flops, peer_positions = None, 0, 0
    if with_peer:
        peer, peer_flops, peer_positions = peer_step(width, depth, seed, workload)
    measured = measure(ours, peer, rounds)
    peak = 2 * PEAK_SIDE**3 / min(measured.product)
    own = median(measured.ours)
    result = {
        "workload": workload.name,
        "width": width,
        "depth": depth,
        "seed": seed,
        "text_positions": workload.text_positions,
        "latent_positions": workload.latent_positions,
        "positions": workload.batch.ids_BT.numel(),
        "elements_per_second": round(workload.elements / own),
        "flops_per_second": round(flops / own),
        "peak_flops_per_second": round(peak),
        "mfu_exact": round(flops / own / peak, 4),
        "seconds_of_rounds": [round(x, 5) for x in measured.ours],
    }
    if with_peer:
        ratios = [b / a for a, b in zip(measured.ours, measured.peer, strict=True)]
        result |= {
            "peer_positions": peer_positions,
            "peer_elements_per_second": round(workload.elements / median(measured.peer)),
            "peer_seconds_of_rounds": [round(x, 5) for x in measured.peer],
            "peer_flops_over_ours": round(peer_flops / flops, 3),
            "ratio_to_peer": round(median(ratios), 3),
            "smallest_ratio_of_rounds": round(min(ratios), 3),
        }
    return result


def told(result: dict[str, Any]) -> str:
    """One line."""
    line = (
        f"{result['workload']}, width {result['width']}, seed {result['seed']}: "
        f"{result['elements_per_second']} elements/s, {100 * result['mfu_exact']:.1f} % of "
        f"{result['peak_flops_per_second'] / 1e9:.0f} GFLOP/s"
    )
    if "ratio_to_peer" not in result:
        return line
    peer = f"peer {result['peer_elements_per_second']} elements/s"
    return f"{line}; {peer}, ratio {result['ratio_to_peer']:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--widths", type=int, nargs="+", default=[192, 512])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--depth", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with_peer = importlib.util.find_spec("transfusion_pytorch") is not None
    if not with_peer:
        print(INSTALL)
    recipe = load_recipe(RECIPE)
    results = []
    for seed in arguments.seeds:
        for workload in (equal_rows(seed, CHANNELS), stream_documents(recipe, seed, CHANNELS)):
            for width in arguments.widths:
                result = figures(
                    width, arguments.depth, seed, arguments.rounds, workload, with_peer
                )
                results.append(result)
                print(told(result), flush=True)
    groups = sorted({(r["workload"], r["width"]) for r in results})
    summary = {
        f"{workload}, width {width}": {
            name: median(
                r[name] for r in results if (r["workload"], r["width"]) == (workload, width)
            )
            for name in ("elements_per_second", "mfu_exact", "ratio_to_peer")
            if name in results[0]
        }
        for workload, width in groups
    }
    print(f"medians over seeds: {summary}")
    write_record("train_step", {"peer": _peer_version(), "medians": summary, "runs": results})


def _peer_version() -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"transfusion-pytorch {version('transfusion-pytorch')}"
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
