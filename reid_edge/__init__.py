"""reid_edge: optimised edge inference for person re-identification.

Example:
    from reid_edge import ReId, read_image

    reid = ReId()
    score = reid.predict(read_image("a.jpg"), read_image("b.jpg"))  # over 0.5: the same person
"""

from __future__ import annotations

from . import errors
from ._version import __version__
from .errors import ReidEdgeError
from .gallery import Gallery
from .image_files import read_image
from .reid import ReId

__all__ = ["Gallery", "ReId", "ReidEdgeError", "__version__", "errors", "read_image"]
