"""Training speed: elements per second here, in transfusion-pytorch, and the share of the peak.

One run measures three things in turn, round after round, so that a machine that slows down slows
all of them: a training step of chiasm, a training step of the peer (`transfusion-pytorch`,
github.com/lucidrains/transfusion-pytorch, if it is installed), and a float32 matrix product. A
step is forward, backward, gradient clipping and AdamW; an element is a text or latent position.
Both models have the same width, depth, heads (no grouped keys), head width, hidden width,
vocabulary, rows, text positions (special tokens counted as text) and latent positions.

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
from statistics import median
from typing import Any

import torch
from record import write_record
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from chiasm.data.batch import NO_LABEL, ImageSlots, Modality, PackedBatch
from chiasm.model import Decoder, ModelSettings, Work
from chiasm.model.work import FORWARD_AND_BACKWARD
from chiasm.training.objective import Objective, ObjectiveSettings

INSTALL = (
    "The peer is not installed, so only chiasm is measured. Into a virtual environment of its "
    "own, beside chiasm:\n    pip install transfusion-pytorch"
)
ROWS, DOCUMENTS, TEXT, GRID, CHANNELS, VOCABULARY = 4, 4, 22, 4, 64, 2048
"""Rows; documents in a row; tokens before and after each picture; its grid; sizes."""

PEAK_SIDE = 2048


@dataclass(frozen=True)
class Measured:
    """Seconds of each round."""

    ours: list[float]
    peer: list[float]
    product: list[float]


def packed_batch(seed: int) -> PackedBatch:
    """Rows of documents <bod> text <boi> picture <eoi> text <eod>, all of one length."""
    latents = GRID * GRID
    kinds = [1] * (2 + TEXT) + [2] * latents + [1] * (2 + TEXT)
    length = len(kinds)
    shape = (ROWS, DOCUMENTS * length)
    generator = torch.Generator().manual_seed(seed)
    ids_BT = torch.randint(6, VOCABULARY, shape, generator=generator)
    position_BT = torch.arange(length).repeat(DOCUMENTS).expand(shape).contiguous()
    modality_BT = torch.tensor(kinds).repeat(DOCUMENTS).expand(shape).contiguous()
    here_BT = torch.arange(shape[1]).expand(shape)
    first_BT = here_BT - position_BT
    vision_BT = modality_BT == Modality.VISION
    last_BT = torch.where(vision_BT, first_BT + 1 + TEXT + latents, here_BT)
    boi, eod = position_BT == 1 + TEXT, position_BT == length - 1
    unlabelled = vision_BT | boi | eod
    label_BT = torch.where(unlabelled, NO_LABEL, ids_BT.roll(-1, dims=1))
    num_images = ROWS * DOCUMENTS
    start_D = torch.arange(DOCUMENTS) * length + TEXT + 2
    images = ImageSlots(
        row_N=torch.arange(ROWS).repeat_interleave(DOCUMENTS),
        start_N=start_D.repeat(ROWS),
        grid_N2=torch.full((num_images, 2), GRID),
        target_N=torch.ones(num_images, dtype=torch.bool),
        dropped_N=torch.zeros(num_images, dtype=torch.bool),
        source_N=torch.zeros(num_images, dtype=torch.int64),
        pixels=(torch.zeros(3, 1, 1, dtype=torch.uint8),) * num_images,
    )
    batch = PackedBatch(
        ids_BT=ids_BT,
        label_BT=label_BT,
        modality_BT=modality_BT,
        position_BT=position_BT,
        first_BT=first_BT,
        last_BT=last_BT,
        document_BT=here_BT // length,
        source_BT=torch.zeros(shape, dtype=torch.int64),
        images=images,
        lane_B=torch.zeros(ROWS, dtype=torch.int64),
        number_B=torch.arange(ROWS),
        source_names=("benchmark",),
    )
    batch.validate()
    return batch


def optimised(model: nn.Module, loss: Callable[[], Tensor]) -> Callable[[], None]:
    """A whole training step, the same for both models."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        loss().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    return step


def our_step(width: int, depth: int, seed: int) -> tuple[Callable[[], None], int, PackedBatch]:
    """The step, its FLOPs, and the batch it trains on."""
    batch = packed_batch(seed)
    heads = width // 64 if width % 64 == 0 else width // 32
    settings = ModelSettings(
        width=width, depth=depth, query_heads=heads, key_value_heads=heads, experts="modality"
    )
    decoder = Decoder(settings, vocabulary=VOCABULARY, latent_channels=CHANNELS, seed=seed)
    objective = Objective(ObjectiveSettings())
    generator = torch.Generator().manual_seed(seed)
    z_LC = torch.randn(len(batch.latent_position_L), CHANNELS, generator=generator)

    def loss() -> Tensor:
        losses = objective.losses(decoder, batch, z_LC, seed)
        return objective.total(losses, batch.num_text_targets, batch.num_flow_targets)

    flops = FORWARD_AND_BACKWARD * decoder.forward_flops(Work.useful(batch))
    return optimised(decoder, loss), flops, batch


def peer_step(width: int, depth: int, seed: int, positions: int) -> tuple[Callable[[], None], int]:
    """The peer's step and its FLOPs; its rows hold as many positions as ours, pictures included."""
    from transfusion_pytorch import Transfusion

    torch.manual_seed(seed)
    heads = width // 64 if width % 64 == 0 else width // 32
    model = Transfusion(
        num_text_tokens=VOCABULARY,
        dim_latent=CHANNELS,
        modality_default_shape=(GRID, GRID),
        transformer={"dim": width, "depth": depth, "heads": heads, "dim_head": width // heads},
        prob_uncond=0.0,
    )
    lengths: list[int] = []
    model.transformer.register_forward_pre_hook(
        lambda module, args: lengths.append(args[0].shape[1])
    )

    def rows(last_text: int) -> list[list[Tensor]]:
        spans: list[Tensor] = []
        for document in range(DOCUMENTS):
            after = TEXT if document < DOCUMENTS - 1 else last_text
            spans += [
                torch.randint(0, VOCABULARY, (TEXT,)),
                torch.randn(GRID, GRID, CHANNELS),
                torch.randint(0, VOCABULARY, (after,)),
            ]
        return [spans] * ROWS

    model(rows(TEXT))  # its own special tokens make the row longer: take that from the text
    samples = rows(TEXT - (lengths[-1] - positions))
    lengths.clear()
    with FlopCounterMode(display=False) as counter:
        model(samples).backward()
    assert lengths == [positions], f"the peer runs {lengths} positions instead of {positions}"
    model.zero_grad(set_to_none=True)
    return optimised(model, lambda: model(samples)), counter.get_total_flops()


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


def figures(width: int, depth: int, seed: int, rounds: int, with_peer: bool) -> dict[str, Any]:
    """One width and seed, measured."""
    ours, flops, batch = our_step(width, depth, seed)
    positions = batch.num_positions
    peer, peer_flops = peer_step(width, depth, seed, positions) if with_peer else (None, 0)
    measured = measure(ours, peer, rounds)
    elements = ROWS * positions
    peak = 2 * PEAK_SIDE**3 / min(measured.product)
    own = median(measured.ours)
    result = {
        "width": width,
        "depth": depth,
        "seed": seed,
        "text_positions": elements - len(batch.latent_position_L),
        "latent_positions": len(batch.latent_position_L),
        "elements_per_second": round(elements / own),
        "flops_per_second": round(flops / own),
        "peak_flops_per_second": round(peak),
        "mfu_exact": round(flops / own / peak, 4),
        "seconds_of_rounds": [round(x, 5) for x in measured.ours],
    }
    if with_peer:
        ratios = [b / a for a, b in zip(measured.ours, measured.peer, strict=True)]
        result |= {
            "peer_elements_per_second": round(elements / median(measured.peer)),
            "peer_seconds_of_rounds": [round(x, 5) for x in measured.peer],
            "peer_flops_per_element_over_ours": round(peer_flops / flops, 3),
            "ratio_to_peer": round(median(ratios), 3),
            "smallest_ratio_of_rounds": round(min(ratios), 3),
        }
    return result


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
    results = []
    for width in arguments.widths:
        for seed in arguments.seeds:
            result = figures(width, arguments.depth, seed, arguments.rounds, with_peer)
            results.append(result)
            line = (
                f"width {width} seed {seed}: {result['elements_per_second']} elements/s, "
                f"{100 * result['mfu_exact']:.1f} % of "
                f"{result['peak_flops_per_second'] / 1e9:.0f} GFLOP/s"
            )
            if with_peer:
                line += (
                    f"; peer {result['peer_elements_per_second']} elements/s, "
                    f"ratio {result['ratio_to_peer']:.2f}"
                )
            print(line, flush=True)
    summary = {
        str(width): {
            name: median(r[name] for r in results if r["width"] == width)
            for name in ("elements_per_second", "mfu_exact", "ratio_to_peer")
            if name in results[0]
        }
        for width in arguments.widths
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
