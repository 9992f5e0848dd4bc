"""The embedded world: pictures, walks and words with ground truth, without any download.

maps.py        rooms, doorways and objects drawn from a seed
pwad.py        a map in the engine's format
engine.py      the ViZDoom engine, and as a camera
freedoom.py    walks through the maps that come with the engine
truth.py       what is seen from a pose: surfaces by rays, objects by labels
sight.py       whether a place can be seen from a pose
walks.py       where pictures are taken
settings.py    how many maps and pictures
world.py       a rendered world
worker.py      a rendering process
camera.py      the engine as a camera, and how far steps come
cache.py       rendered folders on disk and the pool of processes
render.py      a world from the cache, or rendered into it
captions.py    captions and the facts they name
questions.py   questions with exact, balanced answers
narration.py   stories
sources.py     the five sources of documents
instructions/  a sixth: walks to what spoken instructions name
kinds.py       what a recipe says of these sources; read without the engine
"""
