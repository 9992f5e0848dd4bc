"""What planning reaches with the oracle as world model, on held-out maps, for each preset.

    python benchmarks/planning.py [scenes=48] [maps=24] [seed=0] [presets=all]

No model is trained: the engine shows what each candidate leads to, and the shipped vision encoder
says how near that is to the goal. Baselines are no motion and a straight line. Errors are means
with standard errors clustered by map.
"""

from __future__ import annotations

import sys
import time
from statistics import median

from record import write_record

from chiasm.actions import ActionFormat
from chiasm.assembly import default_cache_folder
from chiasm.data import TextTokenizer
from chiasm.evaluation import EvaluationSettings
from chiasm.evaluation.plans import ORACLE, plan_rows, plan_scenes
from chiasm.inference.pretrained import Pretrained
from chiasm.model import Decoder, ModelSettings
from chiasm.training.objective import ObjectiveSettings
from chiasm.vision.build import VisionSettings, build_vision_tokenizer
from chiasm.worldmodel.settings import PRESETS, PlannerSettings
from chiasm.worlds import Split, WorldSettings, WorldSource, render_worlds


def main() -> None:
    given = {"scenes": "48", "maps": "24", "seed": "0", "presets": ",".join(PRESETS)}
    given |= dict(word.split("=") for word in sys.argv[1:])
    maps = int(given["maps"])
    world = WorldSettings(
        train_maps=maps, held_out_maps=maps, views_per_map=0, walks_per_map=6, frames_per_walk=10
    )
    cache = default_cache_folder() / "worlds"
    train, held_out = (
        WorldSource(render_worlds(world, split, cache), "action_video") for split in Split
    )
    figures: dict[str, object] = {"settings": given}
    for name in given["presets"].split(","):
        settings = EvaluationSettings(
            seed=int(given["seed"]),
            history_frames=1,
            plans=int(given["scenes"]),
            planner=PlannerSettings.model_validate(PRESETS[name]),
        )
        began = time.monotonic()
        planned = plan_scenes(_encoder(), train, held_out, settings, world_models=[ORACLE])
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
    write_record("planning", figures)


def _encoder() -> Pretrained:
    """The shipped vision encoder beside a decoder that nobody asks."""
    text = TextTokenizer.train(["action:"], 300)
    vision = build_vision_tokenizer(VisionSettings(kind="rae", path="embedded-world"))
    decoder = Decoder(
        ModelSettings(width=32, depth=1, query_heads=2, key_value_heads=1),
        vocabulary=text.vocabulary_size,
        latent_channels=vision.channels,
    )
    return Pretrained(decoder, text, vision, ObjectiveSettings(), 256, ActionFormat(), 2)


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


if __name__ == "__main__":
    main()
