from chiasm.public import public


def test_of_a_path_the_last_part_is_left() -> None:
    assert public("/home/ann/data/photos") == "photos"
    assert public("/home/ann lee/my photos/") == "my photos"
    assert public("~/photos/train-*.parquet") == "train-*.parquet"
    assert public("../ann/photos") == "photos"
    assert public("file:///home/ann/photos.tar") == "photos.tar"
    told = "chiasm train /home/ann/r.toml --set stream.sources.a.path=/data/ann/a --out ~ann/run"
    assert public(told) == "chiasm train r.toml --set stream.sources.a.path=a --out run"
    assert public("rae /home/ann/dinov2") == "rae dinov2"


def test_what_belongs_to_nobody_stays() -> None:
    for text in (
        "photos/train",
        "./autoencoder",
        "google/siglip2-so400m-patch14-224",
        "https://host/photos/{0..9}.tar",
        "one and/or the other, 3 / 4, at 2 m/s: is it red? yes",
        "RGB in [0, 1], minus (0.5, 0.5, 0.5), over (0.5, 0.5, 0.5)",
    ):
        assert public(text) == text


def test_secrets_of_addresses_are_left_out() -> None:
    assert public("https://ann:word@host/a.tar?token=abc") == "https://host/a.tar"


def test_whatever_is_nested() -> None:
    content = {"path": "/a/b", "more": [("/c/d", 1)], "none": None}
    assert public(content) == {"path": "b", "more": [["d", 1]], "none": None}
