import json
import subprocess
from pathlib import Path

import pytest
import torch

from chiasm.training.versions import versions

ROOT = Path(__file__).parents[2]


def test_names_what_decides_the_numbers() -> None:
    record = versions("chiasm train x.toml")
    assert record["command"] == "chiasm train x.toml"
    assert record["torch"] == torch.__version__
    assert record["threads"] == torch.get_num_threads()
    assert json.loads(json.dumps(record)) == record


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")
def test_names_the_commit_of_the_checkout() -> None:
    head = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    commit = subprocess.run(head, capture_output=True, text=True, check=True).stdout.strip()
    assert versions("")["git_commit"].removesuffix("-dirty") == commit
