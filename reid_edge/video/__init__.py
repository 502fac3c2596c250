"""People in a video: boxes of each frame associated into tracks, named from a gallery, drawn.

`Tracker` needs no video file: it takes boxes and embeddings, frame by frame.
"""

from .tracker import ASSOCIATIONS, Settings, Track, Tracker

__all__ = ["ASSOCIATIONS", "Settings", "Track", "Tracker"]
