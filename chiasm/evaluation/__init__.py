"""What a trained model is worth, measured on held-out data.

Files, each importing only from those above it:

strangers.py   wrong items to hold the right ones against
rows.py        one row of the table, its baseline and its verdict
ngrams.py      smoothed n-gram baselines
probes.py      linear probes on frozen features
shared.py      what several measures are set by
evaluation.py  what an evaluation hands to the report
material.py    what an evaluation reads: both splits of every source
scoring.py     losses of single documents
run.py         a model on its data: what every measure is given
measure.py     what a measure is, and the list of those that are there
pictures.py    pictures against the truth, and the encoder through which probes read
pieces.py      pieces of held-out walks
text.py        bits per byte against n-grams; sentences that recur
flow.py        flow loss at fixed noise levels
drawings.py    caption → picture, read by probes
questions.py   answers against the majority and against a blank image
next_views.py  imagined frames against the last one, and against other actions
rollouts.py    imagined views by horizon
instructed.py  imagined walks after spoken instructions, followed in the engine
scenes.py      starts, goal pictures and the paths between them
planning.py    how scenes are planned, for the measure and for the verb
plans.py       plans to a goal picture against baselines and the oracle
writing.py     free continuations and captions to read
settings.py    every measure, and the table of their settings
evaluate.py    all of it
atlas/         what the routers of a mixture of experts learned
"""
