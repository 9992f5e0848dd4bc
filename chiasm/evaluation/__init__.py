"""Measures of a trained model on held-out data, beside baselines.

Files, each importing only from those above it:

strangers.py   mismatched items from other clusters, as controls
rows.py        one row of the table, its baseline and its verdict
ngrams.py      smoothed n-gram baselines
probes.py      linear probes on frozen features
shared.py      settings that several measures share
evaluation.py  results: rows, points of curves, samples
material.py    data of an evaluation: both splits of every source
scoring.py     losses of single documents
run.py         a model and its data: the argument of every measure
measure.py     base classes of measures, and their registry
perceptual.py  perceptual distance of pictures, without learned weights
pictures.py    PSNR, SSIM, feature and perceptual distance; the reference encoder of probes
listening.py   log-mel distance of sounds, and the truth of them for probes
pieces.py      pieces of held-out trajectories
text.py        bits per byte against n-grams; sentences that recur
flow.py        flow loss at fixed noise levels
drawings.py    caption → picture, read by probes
sounds.py      words → sound, heard by a probe; sound → words
agreement.py   VQAv2's accuracy, by the answers of several people
questions.py   answers against the majority and against a blank image or silence
hearing.py     probes of the model's states behind a sound
crossings.py   picture → sound, and sound → picture
next_views.py  imagined frames against the last one, and against other actions
steps.py       quality by the number of solver steps
next_sounds.py the next sound and the view that it is heard with
horizons.py    likeness of imagined views by the number of frames ahead
rollouts.py    imagined views by horizon
detours.py     ways that leave a view and come back, and what is imagined on return
memory.py      views that are left and come back to
clips.py       clips of held-out films, and what is imagined behind their first frames
films.py       how films go on, by horizon
spoken.py      held-out spoken instructions, and walks imagined in open and closed loop
instructed.py  whether what is said is done, beside baselines
scenes.py      starts, goal pictures and the paths between them
planning.py    plans of scenes, for the measure and for the command line
plans.py       plans to a goal picture against baselines and the oracle
writing.py     free continuations and captions, as samples
settings.py    registry of the measures, and the table of their settings
evaluate.py    runs all measures
atlas/         the routing atlas of a mixture of experts
"""
