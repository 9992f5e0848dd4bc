"""A model of the embedded world, or of a recorded one: it imagines what actions lead to.

rollout.py    views imagined one after another, batched over candidate actions
"""
