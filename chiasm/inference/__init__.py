"""Using a trained model: it writes, answers, draws and goes on with a document.

walks.py         what the documents with actions were like that a model was trained on
pretrained.py    a model with its tokenizers and settings; load, save
pictures.py      pictures as the frozen tokenizer sees them, and how far apart they lie
request.py       what is asked, and what the sampler tells while it works
solvers.py       the flow's differential equation: time grid, Euler, Heun
choice.py        from logits to the next token; random numbers that belong to a request
writer.py        tokens to text that never has to be taken back; stop strings
passage.py       consecutive positions of one document, before they have a row
history.py       the cached rows of a batch of requests
canvas.py        the items that a group of requests generates together, guided
batch.py         one batch of requests: the interleaved state machine
sampler.py       checks requests and runs them in batches
tasks.py         answer, caption, draw, next view, free continuation
"""
