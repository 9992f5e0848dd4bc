"""The decoder's training: what a step of :mod:`chiasm.loop` reads and what it minimises.

Reading order, which is also the import order:

settings.py    how long and how a run trains
noise.py       noise, flow times and steps, keyed by the row they belong to
shortcuts.py   where one long step of the solver is to lead
losses.py      losses as sums and counts
average.py     a moving average of the weights
objective.py   what is minimised: the losses of a packed batch
speed.py       what this machine can do at most
tally.py       sums and counts as the named numbers that a run reports
shared_memory.py sums over the ranks of one machine, without messages
parallel.py    how the weights lie on several ranks
transfer.py    weights of a trained model that another one begins with
adapters.py    low-rank adapters of such weights
validation.py  the same held-out rows at the same noise levels
trainer.py     the loop that trains the decoder
together.py    several seeds of a model in one process, their passes made together
versions.py    what a run was made with
"""
