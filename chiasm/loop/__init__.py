"""From gradients to a trained model, whatever it is: killed at any moment, it goes on exactly.

schedule.py    learning rate as a function of the step
settings.py    how long a loop runs, and what it writes on the way
optimizer.py   AdamW with two decay groups
metrics.py     JSON lines and TensorBoard
checkpoint.py  training state, written aside, renamed and verified
progress.py    what a loop counts and tells
loop.py        the loop
"""
