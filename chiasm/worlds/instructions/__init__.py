"""Instructions: an expert walks to a named goal, and a sentence precedes each next view.

settings.py    numbers and lengths of walks
goals.py       goals in a map, and whether one was reached
ground.py      free places, and walking distances to goals
expert.py      the shortest walk to a goal; a random walk beside it
walks.py       the walks of a map
grammar.py     sentences, and those that are held out of training
sight.py       whether a view shows the goal of an instruction
worker.py      a rendering process
rendered.py    the walks on disk
source.py      the source of documents
"""
