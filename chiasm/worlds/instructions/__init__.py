"""Spoken instructions: an expert walks to what is named, and words say so before each next view.

settings.py        how many walks, and how long
goals.py           goals that a map really has, and whether one was reached
ground.py          where one can stand, and how far a goal is on foot
expert.py          the shortest walk to a goal; a random walk beside it
"""
