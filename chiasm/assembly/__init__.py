"""From a recipe to a trained model in its folder.

memory.py   whether a model fits the machine
vision.py   the vision tokenizer of a recipe
stretches.py sound of films, as long as a frame is shown
walks.py    shape of documents with actions, and whether rows hold them
rehearsal.py parts that only sampling runs, tried before the first step
training_items.py items of a stream as often as the training meets them
inputs.py   tokenizers of text and streams, trained or measured
ledger.py   what the operations of a step allocate, send and wait for
full_rows.py batches of full rows, without data
planned.py  ranks and a CUDA device that are not there
planned_step.py a training step on tensors without memory
footprint.py what one rank needs for a step
objects.py  data, stream, model and trainer from a recipe
census.py   what the sources of a recipe hold
pace.py     time of a training step on this machine
pictures.py images of a recipe's sources, and its held-out trajectories
record.py   what a run folder says of its run
beginning.py a trained model or a checkpoint of another run, to begin with
measured.py a trained run measured on held-out data, and its report
export.py   a trained model for others: a folder with its card
watch.py    what is written while a run trains: models, the best one, evaluations
folder.py   a run folder, and training that resumes in it
"""

from chiasm.assembly.beginning import CommonSteps
from chiasm.assembly.folder import kept_inputs, train_run, train_runs
from chiasm.assembly.inputs import build_inputs
from chiasm.assembly.objects import (
    build_run,
    build_stream,
    check_feasible,
    open_material,
)
from chiasm.assembly.pace import seconds_per_step
from chiasm.assembly.pictures import open_gallery, open_held_out_walks
from chiasm.assembly.record import changed_data, refuse_foreign_folder
from chiasm.assembly.vision import open_tokenizers
from chiasm.data.preparation import default_cache_folder

__all__ = [
    "CommonSteps",
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
    "train_runs",
]
