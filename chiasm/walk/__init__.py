"""The walk page: a local page on which a model's imagination is walked through, view by view.

commands.py    what is pressed or typed, as the words that the model reads
scripts.py     what is done step by step, and what a model imagines of it
starts.py      where walks begin: held-out views, or a picture
truth.py       the view that the engine shows at a place
walker.py      one model that imagines the next view of any walk
walks.py       the walks of all open pages, each for itself
pictures.py    pictures as PNG, and a walk as a contact sheet
answers.py     what the page is told, as JSON
server.py      HTTP on this machine
page.html      the page itself
"""
