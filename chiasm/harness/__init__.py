"""Public harnesses: their requests answered by a model, their scores beside our own.

likelihoods.py  log-likelihoods of continuations, packed
requests.py     a harness's plain texts and pictures as prompts, and its words for sampling
layouts.py      prompts of picture benchmarks, and the folders that their scorers read
drawing.py      draws such a folder, and goes on where it was stopped
scores.py       what the scorers wrote, as rows of our table
world.py        held-out captions as a picture benchmark, scored by probes
lm_eval.py      the model class of lm-evaluation-harness; importing it registers ``chiasm`` there
lmms_eval.py    the model class of lmms-eval, which finds it by its entry point
"""
