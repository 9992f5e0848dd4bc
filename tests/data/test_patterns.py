import pytest

from chiasm.data.patterns import expanded, has_braces
from chiasm.errors import UserError


@pytest.mark.parametrize(
    ("path", "paths"),
    [
        ("a.tar", ["a.tar"]),
        ("{a,b}.tar", ["a.tar", "b.tar"]),
        ("x/{008..011}.tar", ["x/008.tar", "x/009.tar", "x/010.tar", "x/011.tar"]),
        ("{8..11}", ["8", "9", "10", "11"]),
        ("{2..0}", ["2", "1", "0"]),
        ("{a,b}-{0..1}", ["a-0", "a-1", "b-0", "b-1"]),
        ("{a,b{0..1}}", ["a", "b0", "b1"]),
        ("{{00..01},{05..06}}.tar", ["00.tar", "01.tar", "05.tar", "06.tar"]),
        ("{{a,b}", ["{a", "{b"]),
        ("{}{one}", ["{}{one}"]),
        ("{a,}", ["a", ""]),
    ],
)
def test_braces_are_lists_as_shells_write_them(path, paths):
    assert expanded(path) == paths
    assert has_braces(path) == (paths != [path])


def test_a_list_without_an_end_is_refused():
    with pytest.raises(UserError, match=r"^path = '\{0\.\.999999999\}' names more than 1,000,000"):
        expanded("{0..999999999}")
    with pytest.raises(UserError, match="names more than 1,000,000"):
        expanded("{a,b}{0..99999}{0..99999}")
