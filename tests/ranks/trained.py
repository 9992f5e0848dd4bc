"""What ranks run in these tests: every case trained for some steps, its numbers kept by rank 0.

    python trained.py RECIPE CASES OUT

``CASES`` is JSON: settings by the name of a case. Of each, ``OUT/NAME.pt`` has the losses of all
steps, the gradients of the first one before clipping, and the last weights, whole.
"""

import json
import sys
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from chiasm.assembly.inputs import Inputs, build_inputs
from chiasm.assembly.objects import build_run, open_material
from chiasm.device import deterministic_on_cpu
from chiasm.evaluation.material import Material
from chiasm.ranks import Ranks
from chiasm.recipe import Recipe, load_recipe
from chiasm.rendezvous import open_ranks
from chiasm.training import parallel
from chiasm.training.parallel import whole_weights
from chiasm.training.shared_memory import fits
from chiasm.training.trainer import Trainer

STEPS = 8


def stir(trainer: Trainer) -> None:
    """Move every weight: heads and modulations begin at zero, which would hide what is wrong."""
    for name, parameter in trainer.decoder.named_parameters():
        generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
        noise = 0.05 * torch.randn(parameter.shape, generator=generator)
        if hasattr(parameter, "device_mesh"):
            from torch.distributed.tensor import distribute_tensor

            mesh, placements = parameter.device_mesh, parameter.placements
            noise = distribute_tensor(noise, mesh, placements, src_data_rank=None)
        with torch.no_grad():
            parameter += noise


def whole(tensor: Tensor) -> Tensor:
    return getattr(tensor, "full_tensor", lambda: tensor)().clone()


def train(settings: Recipe, material: Material, inputs: Inputs, ranks: Ranks) -> dict[str, Any]:
    run = build_run(settings, material, inputs, lambda line: None, ranks=ranks)
    trainer = run.trainer
    with closing(run.stream), deterministic_on_cpu(trainer.device):
        stir(trainer)
        trainer.rehearse()  # leaves nothing behind
        begin = run.stream.get_state()
        trainer.backward()
        named = trainer.decoder.named_parameters()
        gradients = {name: whole(own.grad) for name, own in named}
        trainer.module.zero_grad()
        run.stream.set_state(begin)
        reports = [trainer.step() for _ in range(STEPS)]
        held_out = trainer.validate()
        again = trainer.validate()
    assert held_out == again
    held_bytes = sum(
        own.numel() * own.element_size()
        for group in trainer.optimizers["gradient_norm"].param_groups
        for own in (getattr(each, "to_local", lambda each=each: each)() for each in group["params"])
    )
    return {
        "values": [dict(report.values) for report in reports],
        "validation": held_out,
        "gradients": gradients,
        "weights": whole_weights(trainer.decoder, ranks),
        "bytes": ranks.gather(held_bytes),
    }


def main() -> None:
    recipe, cases, out = Path(sys.argv[1]), json.loads(sys.argv[2]), Path(sys.argv[3])
    torch.set_num_threads(1)
    of_all = load_recipe(recipe)
    material = open_material(of_all)
    with open_ranks(60.0) as ranks:
        for name, overrides in cases.items():
            settings = load_recipe(recipe, overrides)
            messages = name.startswith("messages")
            parallel.fits = (lambda ranks, numbers: False) if messages else fits
            inputs = build_inputs(settings, material.train)
            found = train(settings, material, inputs, ranks)
            if ranks.is_first:
                torch.save(found, out / f"{name}.pt")


if __name__ == "__main__":
    main()
