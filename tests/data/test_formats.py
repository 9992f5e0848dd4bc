from pathlib import Path

import pytest

from chiasm.data.formats import form_of, open_one
from chiasm.data.index import NO_INDEX
from chiasm.errors import UserError


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.csv", ".csv"),
        ("a.CSV.GZ", ".csv.gz"),
        ("a.b.jsonl", ".jsonl"),
        ("a.jsonl.gz", ".jsonl.gz"),
        ("a.tgz", ".tar.gz"),
        ("a.tar.gz", ".tar.gz"),
        ("a.parquet", ".parquet"),
        ("a.parquet.gz", ""),
        ("a.gz", ""),
        ("a.jsonl.zst", ""),
        ("a", ""),
        (".csv", ""),
    ],
)
def test_the_form_of_a_file_is_told_by_its_suffixes(name, form):
    assert form_of(Path(name)) == form


def test_files_elsewhere_are_tars():
    with pytest.raises(UserError, match=r"memory://b/a\.csv is no tar: other files are read from"):
        open_one(".csv", Path("memory:/b/a.csv"), NO_INDEX)
