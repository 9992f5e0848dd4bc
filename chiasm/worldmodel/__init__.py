"""A model of the embedded world, or of a recorded one: it imagines what actions lead to.

rollout.py     views imagined one after another, batched over candidate actions
direct.py      views imagined in one step, by the sum of the actions
sheet.py       rollouts as a contact sheet and as an animation
oracle.py      the engine itself in the place of a model
tracker.py     which walk imagined views show
settings.py    how plans are sought; presets
lpips.py       a perceptual distance, from weights that the user has
cost.py        how far an imagined view is from a goal picture
proposals.py   which paths a planner tries
planner.py     from a goal picture to actions; baselines
trajectory.py  how far a plan lies from the true path: ATE and RPE
"""
