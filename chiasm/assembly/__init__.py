"""From a recipe to a trained model in its folder.

memory.py   whether a model fits the machine
vision.py   the vision tokenizer of a recipe
walks.py    views of walks, and whether they fit the rows
rehearsal.py what sampling will run, tried before the first step
objects.py  data, tokenizers, stream, model and trainer from a recipe
pictures.py the pictures of a recipe's sources, and its held-out walks
folder.py   a run folder, and training that goes on in it
"""

from chiasm.assembly.folder import changed_data, kept_inputs, refuse_foreign_folder, train_run
from chiasm.assembly.objects import (
    build_inputs,
    build_run,
    build_stream,
    check_feasible,
    open_material,
    seconds_per_step,
)
from chiasm.assembly.pictures import open_gallery, open_held_out_walks
from chiasm.assembly.vision import open_tokenizers
from chiasm.data.preparation import default_cache_folder

__all__ = [
    "build_inputs",
    "build_run",
    "build_stream",
    "changed_data",
    "check_feasible",
    "default_cache_folder",
    "kept_inputs",
    "open_gallery",
    "open_held_out_walks",
    "open_material",
    "open_tokenizers",
    "refuse_foreign_folder",
    "seconds_per_step",
    "train_run",
]
