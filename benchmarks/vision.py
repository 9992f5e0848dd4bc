"""What a vision tokenizer costs beside the bare library call, and beside a training step.

1. Pictures per second of encode and decode for each tokenizer, against the bare call that it is
   made of (see vision_models.py), on the same batch. Ours starts from uint8 pictures and ends at
   standardized latents, or goes back from them to pictures in [0, 1]; the bare call gets what it
   reads ready made. Both take turns, call by call, so that a machine that slows down slows both;
   the overhead is the median over rounds of ours / bare - 1. ``pixels`` has no library and hardly
   any work: its bare call is a reshape that is copied, and its overhead is the conversion itself.
2. A training step that encodes as it goes against the same step on cached latents, turn by turn,
   and the encoder's FLOPs over the model's (forward once; forward and backward). PNG files are
   decoded on the reading thread, beside the step.
3. With CUDA, the vision tower of SigLIP 2 So400m/14 (random weights) at 224 pixels in bfloat16:
   pictures per second, and the share of the peak that its matrix products use.

On a CPU with one torch thread (OMP_NUM_THREADS=1) the clock is that of the calling thread, so that
what else runs on the machine counts less; otherwise it is the wall's.

    OMP_NUM_THREADS=1 python benchmarks/vision.py [--rounds 15] [--pictures 4] [--steps 20]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image as PillowImage
from record import write_record
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers.utils import logging as transformers_logging
from vision_models import SO400M, Contender, contenders, siglip

from chiasm.assembly import build_inputs, build_run, build_stream, open_gallery, open_material
from chiasm.device import choose_device, synchronise
from chiasm.documents import Split
from chiasm.recipe import Recipe, parse_recipe
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.training.speed import peak_flops_per_second
from chiasm.vision.cached.encoding import Encoding
from chiasm.vision.kinds import RaeSettings

GOAL = 0.05
"""Largest overhead over the bare call."""

STEP_SIDE, PICTURE_FILES = 112, 96
"""Side of the pictures of a training step, and how many there are."""

SO400M_PICTURES = 128


def clock(device: torch.device) -> Callable[[], float]:
    """What seconds are counted by."""
    alone = device.type == "cpu" and torch.get_num_threads() == 1
    return time.thread_time if alone else time.perf_counter


def in_turn(
    calls: dict[str, Callable[[], Any]], rounds: int, device: torch.device
) -> dict[str, list[float]]:
    """Seconds of each call in each round, after a round that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    now = clock(device)
    for _ in range(rounds + 1):
        for name, call in calls.items():
            synchronise(device)
            begin = now()
            call()
            synchronise(device)
            times[name].append(now() - begin)
    return {name: own[1:] for name, own in times.items()}


def added(ours: list[float], bare: list[float]) -> float:
    """Median over rounds of how much longer ours takes, as a share of the bare call's time."""
    return median(a / b - 1 for a, b in zip(ours, bare, strict=True))


@torch.no_grad()
def against_the_library(contender: Contender, rounds: int, device: torch.device) -> dict[str, Any]:
    """One tokenizer in both directions."""
    tokenizer, images = contender.tokenizer, contender.images_B3HW
    latents = tokenizer.encode(images)
    directions = {"encode": (lambda: tokenizer.encode(images), contender.bare_encode)}
    if contender.bare_decode is not None:
        directions["decode"] = (lambda: tokenizer.decode(latents), contender.bare_decode)
    result: dict[str, Any] = {
        "tokenizer": contender.name,
        "pictures": len(images),
        "picture_pixels": tokenizer.image_shape.height_pixels,
        "latents": list(latents.shape[1:]),
    }
    for direction, (ours, bare) in directions.items():
        times = in_turn({"ours": ours, "bare": bare}, rounds, device)
        overhead = added(times["ours"], times["bare"])
        result[direction] = {
            "pictures_per_second": round(len(images) / median(times["ours"]), 1),
            "bare_pictures_per_second": round(len(images) / median(times["bare"]), 1),
            "overhead": round(overhead, 4),
            "within_goal": overhead <= GOAL,
            "ours_seconds": [round(x, 5) for x in times["ours"]],
            "bare_seconds": [round(x, 5) for x in times["bare"]],
        }
    return result


def encode_flops(tokenizer: Tokenizer, device: torch.device) -> int:
    """Of one picture's matrix products and convolutions, by torch's own counter."""
    shape = tokenizer.image_shape
    images = torch.zeros(1, 3, shape.height_pixels, shape.width_pixels, device=device)
    # Flash kernels of CPUs are not in the counter's table; the mathematical one is.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        tokenizer.encode(images)
    return counter.get_total_flops()


def step_recipe(folder: Path, steps: int) -> Recipe:
    """A small model on captioned PNG files, which are written into the folder."""
    drawn = np.random.default_rng(0)
    lines = []
    for number in range(PICTURE_FILES):
        pixels = drawn.integers(0, 256, (STEP_SIDE, STEP_SIDE, 3), dtype=np.uint8)
        PillowImage.fromarray(pixels).save(folder / f"{number}.png")
        lines.append(json.dumps({"file_name": f"{number}.png", "text": f"picture {number}"}))
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n")
    source = {"kind": "image_text", "path": str(folder), "held_out_fraction": 0.1}
    return parse_recipe(
        {
            "name": "vision benchmark",
            "tokenizer": {"vocabulary_tokens": 280},
            "streams": {"image": {"path": str(siglip(folder / "model", STEP_SIDE))}},
            "stream": {"sequence_length": 256, "batch_size": 4, "sources": {"pictures": source}},
            "training": {
                "steps": steps + 1,
                "validation_batches": 0,
                "schedule": {"warmup_steps": 1},
            },
        }
    )


def beside_a_step(steps: int, device: torch.device) -> dict[str, Any]:
    """A training step that encodes, and the same step on cached latents."""
    with tempfile.TemporaryDirectory() as folder:
        recipe = step_recipe(Path(folder), steps)
        material = open_material(recipe)
        inputs = build_inputs(recipe, material.train)
        cache = Path(folder) / "latents"
        tokenizer = inputs.tokenizers["image"]
        Encoding(open_gallery(recipe, *Split), tokenizer, cache).run(device)
        vision = recipe.streams["image"].model_copy(update={"latents": str(cache)})
        cached = recipe.model_copy(update={"streams": {"image": vision}})
        runs = {
            name: build_run(one, material, inputs, tell=lambda line: None)
            for name, one in (("encoding", recipe), ("cached", cached))
        }
        stream = build_stream(recipe, material.train, inputs, recipe.seed)
        pictures = [len(next(stream).slots["image"]) for _ in range(steps + 1)][1:]
        times = in_turn({n: run.trainer.step for n, run in runs.items()}, steps, device)
        flops = runs["cached"].trainer.progress.counters["flops"] / (steps + 1)
        for open_stream in (stream, *(run.stream for run in runs.values())):
            open_stream.close()
        encoder = encode_flops(tokenizer, device) * sum(pictures) / steps
    return {
        "pictures_per_step": round(sum(pictures) / steps, 1),
        "encoding_step_seconds": round(median(times["encoding"]), 4),
        "cached_step_seconds": round(median(times["cached"]), 4),
        "added_share_of_time": round(added(times["encoding"], times["cached"]), 3),
        "encoder_share_of_flops": round(encoder / flops, 3),
        "step_flops": round(flops),
        "encoder_flops": round(encoder),
    }


@torch.no_grad()
def so400m(rounds: int, device: torch.device) -> dict[str, Any]:
    """SigLIP 2 So400m's tower at full size."""
    with tempfile.TemporaryDirectory() as folder:
        path = siglip(Path(folder), SO400M["image_size"], **SO400M)
        tokenizer = RaeSettings(path=str(path)).open().to(device)
    shape = (SO400M_PICTURES, 3, SO400M["image_size"], SO400M["image_size"])
    images = torch.randint(256, shape, dtype=torch.uint8, device=device)
    tokenizer.measure([images[:8]], data="noise")
    times = in_turn({"encode": lambda: tokenizer.encode(images)}, rounds, device)["encode"]
    rate = len(images) / median(times)
    peak = peak_flops_per_second(device, torch.bfloat16)
    return {
        "pictures": len(images),
        "pictures_per_second": round(rate, 1),
        "mfu": round(encode_flops(tokenizer, device) * rate / peak, 4),
        "seconds_of_rounds": [round(x, 5) for x in times],
    }


def told(result: dict[str, Any]) -> str:
    """One line for each direction."""
    lines = [
        f"{result['tokenizer']}, {direction}: {own['pictures_per_second']} pictures/s, bare "
        f"{own['bare_pictures_per_second']}, overhead {100 * own['overhead']:.1f} %"
        for direction, own in result.items()
        if isinstance(own, dict)
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--pictures", type=int, default=4, help="of the largest models' batch")
    parser.add_argument("--steps", type=int, default=20)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    transformers_logging.disable_progress_bar()
    device = choose_device("auto")
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for contender in contenders(Path(folder), device, arguments.pictures):
            results.append(against_the_library(contender, arguments.rounds, device))
            print(told(results[-1]), flush=True)
    counted = "thread" if clock(device) is time.thread_time else "wall"
    figures: dict[str, Any] = {"goal": GOAL, "clock": counted, "tokenizers": results}
    figures["training_step"] = beside_a_step(arguments.steps, device)
    print(figures["training_step"], flush=True)
    if device.type == "cuda":
        figures["siglip2_so400m"] = so400m(arguments.rounds, device)
        print(figures["siglip2_so400m"], flush=True)
    write_record("vision", figures)


if __name__ == "__main__":
    main()
