"""Inference with a trained model: writing, answering, drawing, continuing a document.

walks.py         shape of the documents with actions that a model was trained on
pretrained.py    a model with its tokenizers and settings; load, save
pictures.py      features of images in the frozen tokenizer, and their distances
sounds.py        the same of sounds, and how far apart they are heard
request.py       requests, sampling settings, and the sampler's events
solvers.py       the flow's differential equation: time grid, Euler, Heun
choice.py        from logits to the next token; random numbers that belong to a request
writer.py        tokens to text that never has to be taken back; stop strings
passage.py       consecutive positions of one document, before they have a row
window.py        the items that a document holds at once
history.py       the cached rows of a batch of requests
states.py        states of the decoder behind an item, for probes
canvas.py        the items that a group of requests generates together, guided
continuation.py  what follows one request: the state machine
passes.py        passes of the decoder over groups of continuations
batch.py         one batch of requests, all there from the beginning
sampler.py       checks requests and runs them in batches
continuous.py    a batch that requests join and leave between its steps
tasks.py         answer, caption, draw, next view, free continuation
"""
