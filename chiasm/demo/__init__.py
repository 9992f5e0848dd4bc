"""The demo page: a local page to write, draw, ask, go on and walk with a trained model.

engine.py     one thread that runs the model for all that ask, and the queue before it
uploads.py    pictures and sounds that a page sends
tasks.py      what a page asks, as requests of the sampler
answers.py    answers to the page's requests
walks.py      walks that are opened while the page is served already
server.py     HTTP on this machine
page.html     the page itself
"""
