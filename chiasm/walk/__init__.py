"""The walk page: a local page for walking through views that a model imagines, one by one.

commands.py    keys and typed words as the text that the model reads
scripts.py     sequences of steps, and the views that a model imagines of them
starts.py      where walks begin: held-out views, or a picture
truth.py       views that the engine renders at a place
walker.py      one model that imagines the next view of any walk
walks.py       the walks of all open pages
pictures.py    pictures as PNG, and a walk as a contact sheet
answers.py     answers to the page's requests, as JSON
server.py      HTTP on this machine
page.html      the page itself
"""
