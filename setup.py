"""Metadata and tools are in pyproject.toml; this file is for what they cannot say."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class FreshBuild(build_py):
    """Packs what the checkout holds now.

    setuptools packs all of build/lib, where an earlier `pip install .` left its copies: a model
    that was deleted since, for its licence, would be shipped all the same.
    """

    def run(self):
        stale = Path(self.build_lib, "reid_edge")
        if stale.exists() and not stale.samefile("reid_edge"):  # as with --build-lib .
            shutil.rmtree(stale)
        super().run()


setup(cmdclass={"build_py": FreshBuild})
