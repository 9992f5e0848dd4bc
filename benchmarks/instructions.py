"""How often a random walker does what is said, on held-out maps: what a success must exceed.

    python benchmarks/instructions.py [maps=24] [seed=0]

The expert's walks are those of the default settings; the random walker takes as many steps from the
same places. Nothing is rendered.
"""

from __future__ import annotations

import sys

import numpy as np
from record import write_record

from chiasm.documents import Split
from chiasm.worlds.instructions.expert import wander
from chiasm.worlds.instructions.goals import reached
from chiasm.worlds.instructions.ground import Ground
from chiasm.worlds.instructions.settings import InstructionSettings
from chiasm.worlds.instructions.walks import draw_walks
from chiasm.worlds.maps import generate_map
from chiasm.worlds.settings import map_seed

TRIES = 20
"""Random walks for each walk of the expert."""


def main() -> None:
    given = {"maps": "24", "seed": "0"} | dict(word.split("=") for word in sys.argv[1:])
    rng = np.random.default_rng(int(given["seed"]))
    steps: dict[str, list[int]] = {}
    won: dict[str, list[bool]] = {}
    of_map, expert = [], []
    for number in range(int(given["maps"])):
        world_map = generate_map(0, map_seed(Split.HELD_OUT, number))
        ground, here = Ground(world_map), []
        for walk in draw_walks(world_map, InstructionSettings(), world_seed=0):
            goal, start, num_steps = walk.goal, walk.poses[0], len(walk.poses) - 1
            expert.append(reached(world_map, goal, start, walk.poses[-1]))
            tries = [wander(ground, start, num_steps, rng)[-1] for _ in range(TRIES)]
            there = [reached(world_map, goal, start, end) for end in tries]
            steps.setdefault(goal.kind, []).append(num_steps)
            won.setdefault(goal.kind, []).extend(there)
            here += there
        of_map.append(float(np.mean(here)))
    figures = {
        "settings": given,
        "walks": len(expert),
        "expert_percent": 100 * float(np.mean(expert)),
        "random_percent": round(100 * float(np.mean(of_map)), 2),
        "standard_error_by_map": round(100 * float(np.std(of_map, ddof=1)) / len(of_map) ** 0.5, 2),
        "kinds": {
            kind: {
                "walks": len(steps[kind]),
                "mean_steps": round(float(np.mean(steps[kind])), 2),
                "random_percent": round(100 * float(np.mean(won[kind])), 2),
            }
            for kind in sorted(steps)
        },
    }
    write_record("instructions", figures)


if __name__ == "__main__":
    main()
