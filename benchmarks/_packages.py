"""The packages that are compared with, imported at the moment they are needed."""

from __future__ import annotations

from functools import partial

from export import packages

require = partial(packages.require, user="this benchmark")
