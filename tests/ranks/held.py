"""What ranks hold after the backward pass of their first step, in bytes; rank 0 prints it as JSON.

python held.py RECIPE
"""

import json
import sys
from contextlib import closing
from pathlib import Path

import torch
from torch import Tensor

from chiasm.assembly.inputs import build_inputs
from chiasm.assembly.objects import build_run, open_material
from chiasm.ranks import own_part
from chiasm.recipe import load_recipe
from chiasm.rendezvous import open_ranks


def main() -> None:
    torch.set_num_threads(1)
    recipe = load_recipe(Path(sys.argv[1]))
    material = open_material(recipe)
    inputs = build_inputs(recipe, material.train)
    with open_ranks(60.0) as ranks:
        run = build_run(recipe, material, inputs, lambda line: None, ranks=ranks)
        with closing(run.stream):
            run.trainer.backward()
            parameters = list(run.trainer.decoder.parameters())
            states = run.trainer.optimizers["gradient_norm"].state.values()
            kept = [each for state in states for each in state.values()]
            held = {
                "parameters": bytes_of(parameters),
                "gradients": bytes_of([own.grad for own in parameters if own.grad is not None]),
                "optimizer": bytes_of([own for own in kept if isinstance(own, Tensor)]),
            }
        found = ranks.gather(held)
        if ranks.is_first:
            print("held", json.dumps(found))


def bytes_of(tensors: list[Tensor]) -> int:
    return sum(own.numel() * own.element_size() for own in map(own_part, tensors))


if __name__ == "__main__":
    main()
