"""What planning reaches with the oracle as world model, on held-out maps, for each preset.

    python benchmarks/planning.py [scenes=48] [maps=24] [seed=0] [presets=all] [steps=N]

No model is trained: the engine shows what each candidate leads to, and the shipped vision encoder
says how near that is to the goal. Baselines are no motion and a straight line. Errors are means
with standard errors clustered by map.

Several paths lead to one pose, so that a goal does not tell the way to it. What is left to guess
is measured as well: the ATE of a planner that knows the goal's pose and takes the most usual path.
"""

from __future__ import annotations

import sys
import time
from itertools import product
from statistics import median

import numpy as np
from record import write_record

from chiasm.assembly import default_cache_folder
from chiasm.data.tokenizer import TextTokenizer
from chiasm.documents import Split
from chiasm.evaluation.material import Material
from chiasm.evaluation.planning import plan_scenes
from chiasm.evaluation.plans import plan_rows
from chiasm.evaluation.run import Run
from chiasm.evaluation.settings import EvaluationSettings
from chiasm.inference.pretrained import Pretrained
from chiasm.model.decoder import Decoder
from chiasm.model.settings import ModelSettings
from chiasm.poses import relative_pose
from chiasm.tokenizers.streams import StreamTokenizers
from chiasm.training.settings import ObjectiveSettings
from chiasm.vision.kinds import RaeSettings
from chiasm.worldmodel.proposals import motions, step_prior
from chiasm.worldmodel.settings import ORACLE, PRESETS, PlannerSettings
from chiasm.worlds.render import render_worlds
from chiasm.worlds.settings import WorldSettings
from chiasm.worlds.sources import WorldSource


def main() -> None:
    given = {"scenes": "48", "maps": "24", "seed": "0", "presets": ",".join(PRESETS), "steps": ""}
    given |= dict(word.split("=") for word in sys.argv[1:])
    maps = int(given["maps"])
    world = WorldSettings(
        train_maps=maps, held_out_maps=maps, views_per_map=0, walks_per_map=6, frames_per_walk=10
    )
    cache = default_cache_folder() / "worlds"
    train, held_out = (
        WorldSource(render_worlds(world, split, cache), "action_video") for split in Split
    )
    figures: dict[str, object] = {
        "settings": given,
        "ate_of_known_poses": {n: _short(known_pose_ate(train, held_out, n)) for n in (2, 3, 4)},
    }
    steps = {"steps": int(given["steps"])} if given["steps"] else {}
    for name in given["presets"].split(","):
        settings = EvaluationSettings(
            seed=int(given["seed"]),
            history_frames=1,
            plans=int(given["scenes"]),
            planner=PlannerSettings.model_validate(PRESETS[name] | steps),
        )
        began = time.monotonic()
        run = Run(_encoder(), Material({}, {}), settings)
        sides = train, held_out
        planned = plan_scenes(run, settings.plans, settings.planner, *sides, world_models=[ORACLE])
        seconds = (time.monotonic() - began) / len(planned)
        figures[name] = {
            "scenes": len(planned),
            "seconds_per_scene": round(seconds, 2),
            "median_ate": _short(median(each.errors[ORACLE].ate_metres for each in planned)),
            "rows": {
                f"{row.name} against {row.baseline_name}": [
                    *(_short(row.value), _short(row.standard_error)),
                    *(_short(row.baseline), _short(row.difference), _short(row.difference_se)),
                ]
                for row in plan_rows(planned, settings.seed)
            },
        }
    write_record("_".join(filter(None, ["planning", given["steps"]])), figures)


def known_pose_ate(train: WorldSource, held_out: WorldSource, steps: int) -> float:
    """Mean over held-out stretches of ``steps`` steps; all paths of the usual steps are tried."""
    prior = step_prior(motions(train), steps, 1)
    paths = np.array(list(product(range(len(prior.kinds_K3)), repeat=steps)))
    places, yaws = np.zeros((len(paths), steps + 1, 2)), np.zeros(len(paths))
    for step in range(steps):
        dx, dy, dyaw = prior.kinds_K3[paths[:, step]].T
        cos, sin = np.cos(np.radians(yaws)), np.sin(np.radians(yaws))
        moved = np.stack([dx * cos - dy * sin, dx * sin + dy * cos], 1)
        places[:, step + 1] = places[:, step] + moved
        yaws += dyaw
    usual, errors = prior.log_density(paths), []
    for walk in held_out.walks:
        for first in range(len(walk) - steps):
            poses = [held_out.pose(frame) for frame in walk[first : first + steps + 1]]
            truth = np.array([relative_pose(poses[0], pose) for pose in poses[1:]])
            away = np.hypot(*(places[:, -1] - truth[-1, :2]).T)
            turned = abs((yaws - truth[-1, 2] + 180) % 360 - 180)
            there = np.flatnonzero((away < 0.1) & (turned < 3))
            chosen = there[usual[there].argmax()] if len(there) else int(away.argmin())
            distances = ((places[chosen, 1:] - truth[:, :2]) ** 2).sum(1)
            errors.append(float(np.sqrt(distances.mean())))
    return float(np.mean(errors))


def _encoder() -> Pretrained:
    """The shipped vision encoder beside a decoder that nobody asks."""
    text = TextTokenizer.train(["action:"], 300)
    shipped = RaeSettings().open()
    tokenizers = StreamTokenizers({"image": shipped})
    decoder = Decoder(
        ModelSettings(width=32, depth=1, query_heads=2, key_value_heads=1),
        vocabulary=text.vocabulary_size,
        streams=tokenizers.streams,
    )
    return Pretrained(decoder, text, tokenizers, ObjectiveSettings(), 256)


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


if __name__ == "__main__":
    main()
