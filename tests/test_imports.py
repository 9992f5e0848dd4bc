"""A user's own module that cannot be imported is told with its line and a remedy that fits."""

import importlib
from pathlib import Path

import pytest

from chiasm.errors import UserError
from chiasm.imports import import_all


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("one = 1\n\ntwo = one / 0\n", r"ZeroDivisionError: .* \(line 3\); mend it"),
        ("import no_such_library\n", r"'no_such_library' \(line 1\); mend it, or install"),
        ("def broken(:\n", r"SyntaxError: .*line 1\); mend it"),
    ],
)
def test_a_mistake_in_a_file_names_its_line(tmp_path: Path, content: str, message: str):
    (tmp_path / "mine.py").write_text(content)
    with pytest.raises(UserError, match=message):
        import_all(["mine.py"], tmp_path)


def test_a_module_that_is_not_there_is_told_apart_from_what_it_needs(tmp_path: Path, monkeypatch):
    (tmp_path / "needs_more.py").write_text("import no_such_library\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match="give a module that Python finds"):
        import_all(["no_such_module"], tmp_path)
    with pytest.raises(UserError, match="mend it, or install what it needs"):
        import_all(["needs_more"], tmp_path)


@pytest.mark.parametrize("by_file_first", [True, False])
def test_a_file_is_run_once_however_it_is_imported(
    tmp_path: Path, monkeypatch, by_file_first: bool
):
    name = f"counted_{by_file_first}".lower()
    ran = tmp_path / "ran"
    (tmp_path / f"{name}.py").write_text(
        f"with open({str(ran)!r}, 'a') as file:\n    file.write('once ')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    ways = [lambda: import_all([f"{name}.py"], tmp_path), lambda: importlib.import_module(name)]
    for import_it in ways if by_file_first else ways[::-1]:
        import_it()
    assert ran.read_text() == "once "
