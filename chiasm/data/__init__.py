"""From sources of documents to packed batches: text tokenizer, mixture, packing, stream.

preparation.py  the cache folder, and the callback that reports slow preparations
quiet.py       grain, imported without its warning
tokenizer.py   text and token numbers
reading.py     usable documents, and a count of the others
media.py       pictures, videos and sounds: suffixes, usual columns
storage.py     bytes of files, here or where fsspec opens them
index.py       what was found in files, kept while they are unchanged
copies.py      copies of files in a form that can be read at any place
cells.py       cells of a table as words, or as a file
listing.py     what lies below a folder
patterns.py    lists of files in braces
files.py       the files of a path
splits.py      files that are held out by their names
table.py       rows by number
line_tables.py  JSON lines, JSON, CSV, plain texts
arrow_tables.py  parquet, Arrow and the hub's datasets
tar_members.py  members of a tar by its headers
tars.py        samples in tar files
media_folder.py  pictures, videos or sounds in folders, with captions and JSON beside them
media_files.py  the files that cells name
formats.py     which reader opens a file
choice.py      which files of a path are read
tables.py      a user's folder, file or hub name as tables
asking.py      how a model is asked by what its documents look like
survey.py      one pass over a table's rows
source.py      one source: the base of its settings, its two sides and facts
fingerprint.py  short hash of the content of users' files
folders.py     sources from such tables
texts.py       sources of plain texts
interleaved.py  documents of sentences and pictures in order
clips.py       clips of video files
sounds.py      sources of sounds with words
pickles.py     pickled arrays, read without running code
cameras.py     poses in space, conventions of axes, the ground
frames.py      the frames of a recorded walk on disk
stamps.py      times of frames and poses, paired
layouts.py     file layouts of poses: GNM, TUM, KITTI, ScanNet, 7-Scenes, poses.jsonl
coarseness.py  motion that is lost when actions are written with few decimals
panning.py     turns estimated from the pictures
plausibility.py  checks of recorded poses, and the settings under which they pass
trajectories.py  recorded walks: frames and poses
sides.py       training and held-out walks
numbered.py    frames numbered across recorded walks
goals.py       documents of videos and action videos
navigation.py  sources from recorded walks
episodes.py    recorded episodes: pictures, controls, the split
episode_source.py  documents of such episodes
recordings.py  settings of recordings, and both sides
catalog_rows.py  the rows of catalogs: pictures with controls
catalog.py     episodes of catalogs
lerobot_files.py  files of LeRobot data sets
lerobot_layout.py  metadata of LeRobot data sets
lerobot_rows.py  rows of their episodes
lerobot.py     episodes of LeRobot data sets
opened.py      training and held-out documents of tables
columns.py     the columns of a table that a source reads
kinds.py       the kinds text, image_text, vqa and interleaved
video_files.py  the kind video
audio.py       the kind audio_text
recorded.py    the kind trajectories
robots.py      the kinds catalog and lerobot
encoder.py     pictures as mp4
lerobot_stats.py  statistics of features
lerobot_writer.py  writes LeRobot data sets
lerobot_export.py  walks as LeRobot data sets
python_manual.py  the kind python_manual
sources.py     the sources that a recipe names
settings.py    settings of the stream and of the text tokenizer
encoding.py    documents as token numbers
keys.py        content hashes of pictures
pictures.py    one picture, decoded and resized
census.py      what the documents of a source hold
best_fit.py    documents packed into rows by best fit
mixture.py     sources mixed by positions
rows.py        packed rows to PackedBatch
packing.py     a list of documents as one batch
lanes.py       one lane: mixture, packer, pictures, counts
stream.py      all lanes: the stream of batches and its state
drawing.py     pictures of a packed row
"""
