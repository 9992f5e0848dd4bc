"""Training of the vocoder.

settings.py         the recipe of chiasm sound train
sounds.py           sounds to learn from
reconstruction.py   the stage, and its losses
figures.py          quality of a tokenizer on held-out sounds
training.py         training into a folder
"""
