"""Tracks get the names of a gallery's people."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from reid_edge.video import Track
from reid_edge.video.naming import Names


class FakeGallery:
    """Knows whoever looks like the first axis."""

    def __init__(self):
        self.asked = 0

    def identify(self, embeddings, top, fpir):
        assert (top, fpir) == (1, 0.02)
        self.asked += len(embeddings)
        return [
            SimpleNamespace(
                identity="anna" if row[0] > 0.5 else None,
                candidates=[SimpleNamespace(identity="anna", score=float(row[0]))],
            )
            for row in embeddings
        ]


def seen(number, look, views=1):
    return Track(number, np.zeros(4, np.float32), 1, 1, 0.0, np.array(look, np.float32), views)


def test_names_come_from_the_gallery_and_nobody_is_there_twice():
    gallery = FakeGallery()
    names = Names(gallery, 0.02)
    people = [seen(1, [0.6, 0.8]), seen(2, [1, 0]), seen(3, [0, 1])]
    names.name(people)
    assert [track.identity for track in people] == [None, "anna", None]
    assert people[1].identity_score == 1
    assert gallery.asked == 3


def test_a_track_is_looked_up_now_and_then_and_may_become_unknown_again():
    gallery = FakeGallery()
    names = Names(gallery, 0.02)
    person = seen(1, [1, 0])
    for views in range(1, 33):
        person.views = views
        names.name([person])
    assert gallery.asked == 6  # at 1, 2, 4, 8, 16, 32
    person.embedding, person.views = np.array([0, 1], np.float32), 48
    names.name([person])
    assert (person.identity, person.identity_score) == (None, None)
