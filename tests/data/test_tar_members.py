import io
import os
import tarfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chiasm.data.tar_members import tar_members
from chiasm.errors import UserError

SHARED = [HealthCheck.function_scoped_fixture]
FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
PART = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=60)
NAMES = st.lists(PART.filter(lambda part: part not in (".", "..")), min_size=1, max_size=5)


def written(path, members, kind):
    with tarfile.open(path, "w", format=kind) as archive:
        for name, content in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


@settings(deadline=None, max_examples=40, suppress_health_check=SHARED)
@given(
    st.sampled_from(FORMATS),
    st.lists(st.tuples(NAMES.map("/".join), st.binary(max_size=1200)), max_size=5),
)
def test_members_are_those_that_were_written(tmp_path, kind, members):
    try:
        file = written(tmp_path / "a.tar", members, kind)
    except (ValueError, UnicodeEncodeError):
        return  # too long a name for ustar
    whole = file.read_bytes()
    found = [(m.name, whole[m.begin : m.begin + m.size]) for m in tar_members(file)]
    assert found == [(name.rstrip("/"), content) for name, content in members]


def test_contents_that_are_wanted_come_with_their_members(tmp_path):
    members = [("1.JSON", b"{}"), ("1.txt", b"words")]
    file = written(tmp_path / "a.tar", members, tarfile.GNU_FORMAT)
    assert [m.content for m in tar_members(file, ".json")] == [b"{}", b""]


@pytest.mark.parametrize("kind", FORMATS)
def test_folders_and_devices_are_no_members(kind, tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w", format=kind) as archive:
        archive.add(tmp_path, "folder/", recursive=False)
        pipe = tarfile.TarInfo("pipe")
        pipe.type = tarfile.FIFOTYPE
        archive.addfile(pipe)
    assert list(tar_members(tmp_path / "a.tar")) == []


@pytest.mark.parametrize("name", ["/etc/a.jpg", "../a.jpg", "a/../../b.jpg", ".."])
@pytest.mark.parametrize("kind", FORMATS)
def test_names_that_lead_out_are_refused(name, kind, tmp_path):
    file = written(tmp_path / "a.tar", [("1.txt", b""), (name, b"")], kind)
    with pytest.raises(UserError, match=rf"a\.tar: the member '{name}' leads out of the folder"):
        list(tar_members(file))


def test_large_files_have_their_whole_size(tmp_path):
    """Beyond 8 GiB no octal digits are left; the file has a hole where the member's bytes are."""
    entry = tarfile.TarInfo("large.bin")
    entry.size = 9 << 30
    for kind in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        file = tmp_path / "a.tar"
        header = entry.tobuf(kind)
        file.write_bytes(header)
        os.truncate(file, len(header) + entry.size + 1024)
        [member] = tar_members(file)
        assert (member.begin, member.size) == (len(header), 9 << 30)


@settings(deadline=None, max_examples=150, suppress_health_check=SHARED)
@given(st.data())
def test_whatever_a_file_holds_ends_in_members_or_in_one_message(tmp_path, data):
    file = tmp_path / "a.tar"
    kind = data.draw(st.sampled_from(FORMATS))
    written(file, [("a" * 60 + "/" + "b" * 90, b"j" * 700), ("b.json", b"{}")], kind)
    whole = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, 4095))] = data.draw(st.integers(0, 255))
    file.write_bytes(whole[: data.draw(st.sampled_from([len(whole), 300, 512, 1500, 2560]))])
    told = ""
    try:
        assert all(m.begin + m.size <= len(whole) for m in tar_members(file, ".json"))
    except UserError as error:
        told = str(error)
    assert not told or ("a.tar" in told and "\n" not in told)


@settings(deadline=None, max_examples=60, suppress_health_check=SHARED)
@given(st.binary(min_size=1, max_size=1500))
def test_bytes_that_are_no_tar_are_told(tmp_path, content):
    file = tmp_path / "a.tar"
    file.write_bytes(content.rstrip(b"\0") + b"x")
    with pytest.raises(UserError, match=r"a\.tar cannot be read as a tar"):
        list(tar_members(file))


def test_a_tar_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UserError, match=r"gone\.tar is not there; fetch it again"):
        list(tar_members(tmp_path / "gone.tar"))
