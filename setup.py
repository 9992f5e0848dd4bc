"""Copies recipes and kept results into the package of a wheel; the rest is in pyproject.toml."""

from pathlib import Path
from shutil import copytree, ignore_patterns

from setuptools import setup
from setuptools.command.build_py import build_py

SHIPPED = ("recipes", "docs/results")


class BuildWithShipped(build_py):
    """A build whose package holds what ``chiasm.shipped`` looks for."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for folder in SHIPPED:
            inside = Path(self.build_lib, "chiasm", "shipped", folder)
            copytree(folder, inside, ignore=ignore_patterns("*.svg"), dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithShipped})
