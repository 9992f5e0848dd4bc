import subprocess
import sys

import pytest

SCRIPT = """
from chiasm.data.kinds import TextSettings
from chiasm.data.stream import Stream, StreamSettings
from chiasm.data.tokenizer import TextTokenizer
from chiasm.documents import Document, Text
from chiasm.vision.pixels import pixel_tokenizer
from chiasm.tokenizers.streams import StreamTokenizers
class Source:
    name = "text"
    def __len__(self):
        return 3
    def __getitem__(self, index):
        return Document((Text("a" * (index + 1)),))
settings = StreamSettings(sources={"text": TextSettings()}, sequence_length=40)
tokenizer = TextTokenizer.train(["a"], 262)
reader = StreamTokenizers({"image": pixel_tokenizer(8, 8)})
stream = Stream(settings, {"text": Source()}, tokenizer, reader, 0)
print(next(stream).num_rows)
"""


@pytest.mark.slow
def test_a_stream_comes_and_goes_without_a_word():
    """Neither grain's import nor a reading thread left running at exit says anything."""
    result = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert (result.stdout, result.stderr, result.returncode) == ("2\n", "", 0)
