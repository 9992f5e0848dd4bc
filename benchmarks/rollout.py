"""Imagined frames per second: batched and cached, against one by one and without a cache.

A planner's call: candidates of actions from one context, imagined step by step. Three ways are
measured in turn, round after round, so that a machine that slows down slows all of them:

- ``batched and cached``: chiasm's rollouts; the context is read once, candidates run together;
- ``cached``: the same, one candidate at a time;
- ``plain``: one candidate at a time, and every step of the solver reads the whole document again,
  as a sampler without a cache has to. The first round sees that all three imagine the same.

Speed does not depend on what a model has learned, so that weights are random. Beside it the time of
a frame on the walk page, by solver steps, in turn: in the model, and from the request to its answer
over HTTP. A machine with CUDA measures the large shapes instead.

    python benchmarks/rollout.py [--rounds 5] [--candidates 120] [--steps 8] [--plain 2]
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection
from statistics import median
from threading import Thread
from typing import Any

import numpy as np
import torch
from plain_rollout import PlainRollouts
from record import write_record

from chiasm.actions import Action, ActionFormat
from chiasm.data.tokenizer import TextTokenizer
from chiasm.device import choose_device, matmul_dtype
from chiasm.inference.pretrained import Pretrained
from chiasm.inference.request import SamplingSettings
from chiasm.inference.sampler import Sampler
from chiasm.inference.walks import WalkDocuments
from chiasm.model.decoder import Decoder
from chiasm.model.settings import ModelSettings
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.tokenizers.tokenizer import Tokenizer
from chiasm.training.settings import ObjectiveSettings
from chiasm.vision.kinds import RaeSettings
from chiasm.vision.pixels import pixel_tokenizer
from chiasm.walk.answers import Answers, Opening
from chiasm.walk.server import WalkServer
from chiasm.walk.starts import Start, Starts
from chiasm.walk.walker import Walker
from chiasm.worldmodel.rollout import Context, Rollouts

SAMPLING = SamplingSettings(steps=25, guidance=1.0)
ALIKE_LEVELS = 4
"""Of 255: the sums of another batch or of another mask are added in another order."""
ALIKE_SHARE = 0.99
"""Of a picture's values: bfloat16 moves single ones farther."""


@dataclass(frozen=True)
class Shape:
    """A model, the views that it sees, and how many of them a document has."""

    name: str
    model: ModelSettings
    view_pixels: int
    context_views: int
    document_views: int

    def vision(self) -> Tokenizer:
        """The shipped tokenizer of 4 x 4 latents, or patches of 16 x 16 pixels."""
        if self.view_pixels == 64:
            return RaeSettings().open()
        return pixel_tokenizer(image_pixels=self.view_pixels, patch_pixels=16)

    def build(self, device: torch.device) -> Pretrained:
        """With random weights, large enough that a view depends on all before it."""
        rng = np.random.default_rng(0)
        text = TextTokenizer.train([action_text(rng) for _ in range(2000)], 512)
        tokenizers = StreamTokenizers({"image": self.vision()}).to(device)
        decoder = Decoder(
            self.model,
            vocabulary=text.vocabulary_size,
            streams=tokenizers.streams,
            compute_dtype=matmul_dtype(device, "auto"),
            seed=0,
        )
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in decoder.parameters():
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
        positions = self.document_views * (tokenizers.streams["image"].num_tokens + 40)
        objective = ObjectiveSettings(prediction="v", shift=1.0)
        decoder = decoder.to(device).eval().requires_grad_(False)
        return Pretrained(
            decoder,
            text,
            tokenizers,
            objective,
            positions,
            walks=WalkDocuments(views=self.document_views),
        )


def small(**sizes: int) -> ModelSettings:
    return ModelSettings(**sizes, experts="modality")


QUICKSTART = small(width=128, depth=4, query_heads=4, key_value_heads=4)
ON_CPU = (
    Shape("quickstart, documents of 2 views", QUICKSTART, 64, 1, 2),
    Shape("quickstart, 4 views of context and 8 steps in one document", QUICKSTART, 64, 4, 12),
)
ON_CUDA = (
    Shape(
        "100 M, 256 tokens a view",
        ModelSettings(width=768, depth=15, query_heads=12, key_value_heads=4, experts="dense"),
        256,
        4,
        12,
    ),
    Shape(
        "1 B, 256 tokens a view",
        ModelSettings(width=2048, depth=23, query_heads=16, key_value_heads=4, experts="dense"),
        256,
        4,
        12,
    ),
)


def action_text(rng: np.random.Generator) -> str:
    """A step such as those of the embedded world."""
    ahead, turn = rng.choice([-1.0, 0.0, 1.0]), rng.choice([-40.0, -20.0, 0.0, 20.0, 40.0])
    return ActionFormat().write(Action(float(ahead), 0.0, float(turn)))


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and what the work gave; pictures lie in the host's memory, so nothing is pending."""
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def compare(shape: Shape, arguments: argparse.Namespace) -> dict[str, Any]:
    """One shape, measured."""
    pretrained = shape.build(choose_device("auto"))
    rng = np.random.default_rng(1)
    height = shape.view_pixels
    views = [
        rng.integers(0, 256, (height, height, 3), np.uint8) for _ in range(shape.context_views)
    ]
    context = Context(tuple(views), tuple(action_text(rng) for _ in views[1:]))
    scripts = [
        [action_text(rng) for _ in range(arguments.steps)] for _ in range(arguments.candidates)
    ]
    alone = scripts[: arguments.plain]
    rollouts = Rollouts(
        Sampler(pretrained),
        SAMPLING.model_copy(update={"batch_size": arguments.rows}),
        context_views=shape.context_views,
        document_views=shape.document_views,
    )
    plain = PlainRollouts(
        pretrained,
        SAMPLING,
        context_views=shape.context_views,
        document_views=shape.document_views,
    )
    seconds: dict[str, list[float]] = {"batched and cached": [], "cached": [], "plain": []}
    walk: dict[int, list[dict[str, float]]] = {each: [] for each in arguments.walk_solver_steps}
    for number in range(arguments.rounds + 1):
        together, imagined = timed(lambda: rollouts.imagine([context] * len(scripts), scripts))
        one, by_one = timed(lambda: [rollouts.imagine([context], [own])[0] for own in alone])
        bare, read_whole = timed(lambda: [plain.imagine(context, own) for own in alone])
        walked = {each: walk_page(pretrained, views[-1], arguments.steps, each) for each in walk}
        if number == 0:  # warms up, and sees that the three are alike
            refuse_unlike(imagined[: len(alone)], by_one)
            refuse_unlike(by_one, read_whole)
            continue
        seconds["batched and cached"].append(together / len(scripts))
        seconds["cached"].append(one / len(alone))
        seconds["plain"].append(bare / len(alone))
        for solver_steps, found in walked.items():
            walk[solver_steps].append(found)
    return told(shape, pretrained, seconds, walk, arguments)


def refuse_unlike(some: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> None:
    """End the benchmark if two ways do not imagine the same first view."""
    apart = [
        np.abs(one[0].astype(int) - other[0].astype(int)) <= ALIKE_LEVELS
        for one, other in zip(some, others, strict=True)
    ]
    share = float(np.mean(apart))
    if share < ALIKE_SHARE:
        raise SystemExit(f"only {share:.1%} of two ways' first views are alike: not one sampler")


def walk_page(
    pretrained: Pretrained, view: np.ndarray, steps: int, solver_steps: int
) -> dict[str, float]:
    """Median milliseconds of a frame on the walk page: in the model, and from request to answer."""
    walker = Walker(pretrained, SAMPLING.model_copy(update={"steps": solver_steps}))
    start = Start("noise", view)
    answers = Answers(walker, Starts(pretrained.vision_tokenizer.image_shape), Opening("", start))
    server = WalkServer(("127.0.0.1", 0))
    thread = Thread(target=server.serve, args=(answers,))
    thread.start()
    connection = HTTPConnection("127.0.0.1", server.server_port)

    def post(path: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", path, json.dumps(body), headers)
        return json.loads(connection.getresponse().read())

    try:
        name = post("/walks", {})["walk"]
        frames = [
            timed(lambda after=after: post(f"/walks/{name}/steps", {"typed": "W", "after": after}))
            for after in range(1, steps + 2)
        ][1:]
    finally:
        connection.close()
        server.shutdown()
        server.server_close()
        thread.join()
    return {
        "model_milliseconds": median(frame["milliseconds"] for _, frame in frames),
        "request_milliseconds": median(1000 * seconds for seconds, _ in frames),
    }


def told(
    shape: Shape,
    pretrained: Pretrained,
    seconds: dict[str, list[float]],
    walk: dict[int, list[dict[str, float]]],
    arguments: argparse.Namespace,
) -> dict[str, Any]:
    """The figures of a shape, printed as well."""
    ways = {
        way: {
            "frames_per_second": round(arguments.steps / median(rounds), 2),
            "candidates_per_second": round(1 / median(rounds), 3),
            "seconds_per_candidate_of_rounds": [round(each, 5) for each in rounds],
        }
        for way, rounds in seconds.items()
    }
    ratios = {}
    for way in ("cached", "plain"):
        pairs = zip(seconds[way], seconds["batched and cached"], strict=True)
        of_rounds = [slow / fast for slow, fast in pairs]
        ratios[f"over_{way}"] = [round(f(of_rounds), 2) for f in (median, min, max)]
    figures = {
        "shape": shape.name,
        "parameters": pretrained.decoder.count_parameters().active,
        "tokens_per_view": pretrained.decoder.shapes["image"].num_tokens,
        "context_views": shape.context_views,
        "document_views": shape.document_views,
        "ways": ways,
        "ratio_median_least_most": ratios,
        "walk_page_by_solver_steps": {
            solver_steps: {name: round(median(w[name] for w in own), 1) for name in own[0]}
            for solver_steps, own in walk.items()
        },
    }
    print(f"{shape.name}, {figures['parameters']:,} parameters")
    for way, found in ways.items():
        print(
            f"  {way}: {found['frames_per_second']} frames/s, "
            f"{found['candidates_per_second']} candidates/s"
        )
    print(f"  batched and cached is faster, [median, least, most]: {ratios}")
    print(f"  walk page by solver steps: {figures['walk_page_by_solver_steps']}", flush=True)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--candidates", type=int, default=120)
    parser.add_argument("--steps", type=int, default=8, help="actions of each candidate")
    parser.add_argument("--plain", type=int, default=2, help="candidates imagined one by one")
    parser.add_argument("--rows", type=int, default=32, help="candidates that run together")
    parser.add_argument(
        "--walk-solver-steps", type=int, nargs="+", default=[SAMPLING.steps, 4, 2, 1]
    )
    arguments = parser.parse_args()
    load = os.getloadavg()
    shapes = ON_CUDA if torch.cuda.is_available() else ON_CPU
    figures = [compare(shape, arguments) for shape in shapes]
    settings = vars(arguments) | {"euler_steps": SAMPLING.steps, "guidance": SAMPLING.guidance}
    loads = {"before": load, "after": os.getloadavg()}
    write_record("rollout", {"settings": settings, "load_average": loads, "shapes": figures})


if __name__ == "__main__":
    main()
