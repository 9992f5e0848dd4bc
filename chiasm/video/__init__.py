"""Video files: any frame by its time, as the RGB that a viewer shows; PyAV decodes.

errors.py   files that cannot be used, and why in few words
rule.py     how frames become RGB, in words and as settings
hdr.py      high dynamic range as an ordinary screen shows it
resizing.py  a frame at the size of pictures
colors.py   one decoded frame as upright RGB
reader.py   one open file: seeking, and the frame at a time
track.py    the sound track, on the clock of the pictures
frame.py    the payload "the frame at time t of file f", and the readers that payloads share
heard.py    the payload "what is heard from time t to u of file f"
extent.py   first and last stamp of a file, and whether it is cut off
"""
