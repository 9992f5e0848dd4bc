"""The training loop of decoders and tokenizers: a run killed at any moment resumes exactly.

schedule.py    learning rate as a function of the step
muon.py        Muon, with AdamW for what it does not take
optimizer.py   kinds of optimizers: a registry, AdamW and Muon
tracker.py     metrics to Weights & Biases or trackio, where they are asked for
settings.py    settings of the loop
clipping.py    gradients clipped by one norm over all ranks
groups.py      groups of parameters: those that decay, and the rest
metrics.py     JSON lines, TensorBoard and a tracker
manifest.py    hashes of a folder's files, kept in the folder
checkpoint.py  training state, written aside, renamed and verified
progress.py    counters of a loop, and the report of a step
spikes.py      gradients that are not finite, or suddenly many times longer than usual
trace.py       the operations of a step, recorded
state.py       what is saved: weights, optimizers, counters, the position in the data
loop.py        the loop
"""
