"""The training loop of decoders and tokenizers: a run killed at any moment resumes exactly.

schedule.py    learning rate as a function of the step
settings.py    settings of the loop and of the optimizer
optimizer.py   AdamW with two decay groups
metrics.py     JSON lines and TensorBoard
checkpoint.py  training state, written aside, renamed and verified
progress.py    counters of a loop, and the report of a step
loop.py        the loop
"""
