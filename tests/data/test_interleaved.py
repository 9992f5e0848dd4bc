import json

import pyarrow as pa
import pyarrow.parquet
import pytest

from chiasm.data.interleaved import listed
from chiasm.data.reading import Unusable
from chiasm.documents import Text
from chiasm.errors import UserError


@pytest.fixture
def opened(made):
    """Both sides of a path, their documents, and their facts."""

    def open_them(path, **settings):
        both = made.open(path, "interleaved", held_out_fraction=0.3, **settings)
        return [*made.documents(both.train), *made.documents(both.held_out)], both.facts

    return open_them


def told(document):
    """Texts as they are, and pictures as the number of their bytes' seed."""
    return [
        span.text if isinstance(span, Text) else (span.data, span.target) for span in document.spans
    ]


def by_first(documents, target):
    """What documents tell whose pictures have this role, or that have none, in order."""
    own = [d for d in documents if all(image.target == target for image in d.images)]
    return sorted(map(told, own), key=lambda parts: str(parts[0]))


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_pictures_and_texts_of_two_lists_keep_their_places(made, opened, tmp_path):
    pictures = [made.picture_file(k) for k in range(4)]
    rows = {
        "images": [[None, {"bytes": picture, "path": None}, None, None] for picture in pictures],
        "texts": [[f"page {k}", None, "then", "last"] for k in range(4)],
    }
    pa.parquet.write_table(pa.table(rows), tmp_path / "a.parquet")
    documents, facts = opened(tmp_path)
    for target in (False, True):
        assert by_first(documents, target) == [
            [f"page {k}", (picture, target), "then", "\n\nlast"]
            for k, picture in enumerate(pictures)
        ]
    assert (facts.rows, facts.documents) == (4, 8)
    assert (facts.image_column, facts.column) == ("images", "texts")


def test_pictures_stand_before_the_sentence_that_they_match(made, opened, tmp_path):
    made.files(
        tmp_path,
        {f"pictures/{k}{n}.png": made.picture_file(9 * k + n) for k in range(4) for n in range(3)},
    )
    rows = [
        {
            "text_list": [f"First {k}.", "Second.", "Third."],
            "image_info": [
                {"image_name": f"{k}{n}.png", "raw_url": "https://a", "matched_text_index": index}
                for n, index in enumerate((2, 0, 2))
            ],
        }
        for k in range(4)
    ]
    made.files(tmp_path, {"docs.jsonl": lines(rows)})
    documents, _ = opened(tmp_path)
    first = tmp_path / "pictures"
    found = sorted((told(d) for d in documents if next(d.images).target), key=str)
    assert found == [
        [(first / f"{k}1.png", True), f"First {k}.", " Second.", (first / f"{k}0.png", True),
         (first / f"{k}2.png", True), "Third."]
        for k in range(4)
    ]  # fmt: skip


def test_spans_are_texts_and_pictures_beside_the_file_or_in_the_tar(made, opened, tmp_path):
    def spans(k, name):
        return {"spans": [f"A {k}", {"image": name}, {"text": "b"}, "c", {"image": "pool/all.png"}]}

    shared = made.picture_file(99)
    made.files(tmp_path / "files", {"docs.jsonl": lines(spans(k, f"{k}.png") for k in range(4))})
    made.files(tmp_path / "files", {f"{k}.png": made.picture_file(k) for k in range(4)})
    made.files(tmp_path / "files", {"pool/all.png": shared})
    made.tar(
        tmp_path / "tar" / "a.tar",
        [
            *((f"{k}.json", json.dumps(spans(k, "0.png"))) for k in range(4)),
            *((f"{k}.0.png", made.picture_file(k)) for k in range(4)),
            ("pool/all.png", shared),
            *((f"pool/more{k}.png", made.picture_file(50 + k)) for k in range(20)),
        ],
    )
    both = []
    for form in ("files", "tar"):
        documents, facts = opened(tmp_path / form)
        both.append(
            [
                [each if isinstance(each, str) else (_bytes(each[0]), each[1]) for each in parts]
                for parts in by_first(documents, False)
            ]
        )
    assert both[0] == both[1]
    assert both[0] == [
        [f"A {k}", (made.picture_file(k), False), "b", "\nc", (shared, False)] for k in range(4)
    ]
    # Pictures that documents show are rows of the tar without a document, and no mistake.
    assert facts.skipped == {"a picture without a document of its own": 21}


def _bytes(data):
    return data if isinstance(data, bytes) else data.read_bytes()


def test_pictures_without_a_file_are_left_out_and_counted(made, opened, tmp_path):
    made.files(tmp_path, {f"{k}.png": made.picture_file(k) for k in range(9)})
    rows = [{"images": [f"{k}.png", None], "texts": [None, f"words {k}"]} for k in range(9)]
    rows[3]["images"][0] = "https://example.org/a.png"
    rows[4]["images"][0] = "gone.png"
    rows.append({"images": ["http://a/b.png"], "texts": [None]})
    made.files(tmp_path, {"docs.jsonl": lines(rows)})
    documents, facts = opened(tmp_path)
    assert facts.documents == 16  # those without pictures are one document
    assert facts.notes == (
        "pictures left out of documents: web address without a file: 1, file missing: 1",
    )
    assert facts.skipped == {"neither a text nor a picture": 1}
    assert sorted(told(d) for d in documents if not any(d.images)) == [["words 3"], ["words 4"]]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"images": [None], "texts": ["a", "b"]}, "images and texts of different length"),
        ({"images": "a.png", "texts": ["a"]}, "images is no list"),
        ({"images": [None], "texts": [{"en": "a"}]}, "a dict among the texts"),
        ({"images": [None]}, "no texts"),
        ({"images": [], "texts": []}, None),
    ],
)
def test_rows_that_are_not_of_their_form_are_unusable(row, why):
    if why is None:
        assert list(listed(row, ("images", "texts"))) == []
        return
    with pytest.raises(Unusable, match=f"^{why}$"):
        list(listed(row, ("images", "texts")))


@pytest.mark.parametrize("index", [None, "3", "-1", "x", 7, "9" * 5000])
def test_a_picture_must_match_a_sentence(index):
    row = {
        "text_list": ["a", "b"],
        "image_info": [{"image_name": "x", "matched_text_index": index}],
    }
    with pytest.raises(Unusable, match=r"^a picture without a matched_text_index that is a sent"):
        list(listed(row, ("image_info", "text_list")))


def test_equal_pages_are_on_one_side(made, tmp_path):
    made.files(tmp_path, {"a.png": made.picture_file(1)})
    rows = [{"spans": [f"page {k % 10}", {"image": "a.png"}]} for k in range(60)]
    made.files(tmp_path, {"docs.jsonl": lines(rows)})
    both = made.open(tmp_path, "interleaved", held_out_fraction=0.3)
    sides = [
        {document.text for document in made.documents(side)} for side in (both.train, both.held_out)
    ]
    assert not sides[0] & sides[1]
    assert len(sides[0] | sides[1]) == 10


def test_columns_can_be_named_both_or_neither(made, opened, tmp_path):
    made.files(tmp_path, {"a.png": made.picture_file(1)})
    rows = [{"shown": ["a.png", None], "said": [None, f"words {k}"]} for k in range(5)]
    made.files(tmp_path, {"docs.jsonl": lines(rows)})
    documents, facts = opened(tmp_path, image_column="shown", text_column="said")
    assert (len(documents), facts.column) == (10, "said")
    with pytest.raises(UserError, match=r"text_column is missing beside the other column"):
        opened(tmp_path, image_column="shown")
    with pytest.raises(UserError, match=r"no columns have usual names \(images and texts; .*shown"):
        opened(tmp_path)


def test_by_name_no_row_is_read_when_it_is_opened(made, opened, tmp_path):
    rows = [{"spans": [f"page {k}", {"image": "gone.png"}]} for k in range(30)]
    made.files(tmp_path, {"docs.jsonl": lines(rows)})
    documents, facts = opened(tmp_path, known_by="name")
    assert (facts.documents, facts.skipped, facts.notes) == (60, {}, ())
    assert len({document.text for document in documents}) == 30


def test_pages_go_through_the_stream_whole_or_cut_between_sentences(made, tmp_path):
    made.files(tmp_path, {f"{k}.png": made.picture_file(k) for k in range(5)})
    long = [f"word{n} " for n in range(12)]
    rows = [{"spans": [f"page {k}.", {"image": f"{k}.png"}, *long]} for k in range(5)]
    made.files(tmp_path, {"docs.jsonl": lines(rows)})
    source = made.open(tmp_path, "interleaved").train
    stream = made.stream({"pages": source})
    for _ in range(12):
        next(stream).validate()
    report = stream.report()
    assert report.skipped == {"pages": 0}
    assert report.split["pages"] > 0
