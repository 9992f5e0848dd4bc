import json

import torch

from chiasm.training.versions import versions


def test_names_what_decides_the_numbers() -> None:
    record = versions("chiasm train x.toml")
    assert record["command"] == "chiasm train x.toml"
    assert record["torch"] == torch.__version__
    assert record["threads"] == torch.get_num_threads()
    assert json.loads(json.dumps(record)) == record
