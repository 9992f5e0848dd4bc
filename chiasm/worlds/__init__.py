"""The embedded world: images, walks and texts with ground truth, without any download.

maps.py        rooms, doorways and objects drawn from a seed
sounds.py      waveforms of things, and their lumps
pwad.py        a map in the engine's format
engine.py      the ViZDoom engine, and as a camera
freedoom.py    walks through the maps that come with the engine
silence.py     refusal of an engine without sound
hearing.py     ground truth of what is heard
truth.py       ground truth of a view: surfaces by rays, objects by labels
sight.py       visibility of a place from a pose
walks.py       poses of the rendered images
settings.py    numbers of maps and images
world.py       a rendered world
worker.py      a rendering process
camera.py      the engine as a camera, with collisions
cache.py       rendered folders on disk and the pool of processes
render.py      a world from the cache, or rendered into it
captions.py    captions and the facts that they name
questions.py   questions with exact, balanced answers
sound_questions.py  the same about what is heard
narration.py   stories
sources.py     the five sources of documents
sound_source.py  four more, of what is heard
instructions/  a sixth: walks after instructions
kinds.py       settings of these sources; read without the engine
"""
