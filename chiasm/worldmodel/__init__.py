"""A model of the embedded world, or of a recorded one: it imagines what actions lead to.

rollout.py     views imagined one after another, batched over candidate actions
direct.py      views imagined in one step, by the sum of the actions
sheet.py       rollouts as a contact sheet and as an animation
oracle.py      the engine itself in the place of a model
mixture.py     which of several pictures a mean of pictures is made of
tracker.py     the trajectory that imagined views show
closed_loop.py walks whose every step is imagined from what is truly seen
settings.py    settings of the planner; presets
lpips.py       a perceptual distance, from weights that the user has
cost.py        distance of an imagined view to the goal image
proposals.py   distributions that candidate paths are drawn from
planner.py     search for actions that lead to a goal image; baselines
inverse.py     plans without search, by the action that the model reads between two views
trajectory.py  error of a plan's trajectory: ATE and RPE
"""
