"""From sources of documents to packed batches: text tokenizer, mixture, packing, stream.

preparation.py  where what is made once is kept, and who hears of it
quiet.py       grain, without a warning of its import
tokenizer.py   text and token numbers
reading.py     documents that can be used, and a count of the others
cells.py       cells of a table as words or as a picture
files.py       what a path holds, and what of it is held out by name
table.py       rows by number
line_tables.py  JSON lines, JSON, CSV, plain texts
arrow_tables.py  parquet, Arrow and the hub's datasets
tars.py        samples in tar files
picture_folder.py  pictures in folders, and what stands beside them
tables.py      a user's folder, file or hub name as tables
survey.py      one pass over a table's rows
source.py      one source: the base of its settings, and what opening it found
fingerprint.py  what users' files hold, as a short hash
folders.py     sources from such tables
pickles.py     pickled arrays, read without running code
cameras.py     poses in space, conventions of axes, the ground
frames.py      the frames of a recorded walk on disk
stamps.py      times of frames and poses, paired
layouts.py     which files hold a walk's poses: GNM, TUM, KITTI, ScanNet, 7-Scenes, poses.jsonl
coarseness.py  motion that is lost where actions are written
panning.py     turns as the pictures show them
plausibility.py  what recorded poses cannot be, and the settings that would do
trajectories.py  recorded walks: frames and poses
sides.py       which walks are trained on and which are held out
goals.py       the frames of an action video
navigation.py  sources from recorded walks
opened.py      which documents of tables are trained on and which are held out
columns.py     which columns of a table a source reads
kinds.py       the kinds text, image_text and vqa
recorded.py    the kind trajectories
python_manual.py  the kind python_manual
sources.py     the sources that a recipe names
settings.py    what a recipe says of the stream and of the text tokenizer
encoding.py    a document as integers
keys.py        what tells two pictures apart without decoding them
pictures.py    one picture at its tokenizer's size
mixture.py     sources mixed by positions
rows.py        packed rows to PackedBatch
packing.py     a given list of documents as one batch
lanes.py       one lane: mixture, packer, pictures, counts
stream.py      all lanes: the stream of batches and its state
drawing.py     pictures of a packed row
"""
