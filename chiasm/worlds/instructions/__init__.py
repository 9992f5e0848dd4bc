"""Spoken instructions: an expert walks to what is named, and words say so before each next view.

settings.py    how many walks, and how long
goals.py       goals that a map really has, and whether one was reached
ground.py      where one can stand, and how far a goal is on foot
expert.py      the shortest walk to a goal; a random walk beside it
walks.py       the walks of a map
grammar.py     the words, and those that are held out of training
sight.py       whether a view shows what an instruction is about
worker.py      a rendering process
rendered.py    the walks on disk
source.py      the source of documents
"""
