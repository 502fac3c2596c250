"""What a gallery answers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Candidate:
    """An enrolled identity, by its picture that is most like the query.

    Attributes:
        identity: its name.
        score: probability that query and that picture show one person, 0...1, as
            `ReId.predict` gives it.
        camera, time: of that picture, as they were given to `add`.
        picture: the id that `add` returned for it.
    """

    identity: str
    score: float
    camera: str | None
    time: float | None
    picture: int


@dataclass(frozen=True)
class Identification:
    """The answer to one query.

    Attributes:
        candidates: the most alike identities, best first, each once.
        known: whether the first candidate's score is over the threshold.
        threshold: the score that was decided by.
    """

    candidates: tuple[Candidate, ...]
    known: bool
    threshold: float

    @property
    def identity(self) -> str | None:
        """Who it is, or None for someone unknown."""
        return self.candidates[0].identity if self.known else None


@dataclass(frozen=True)
class Enrolled:
    """An identity as it is kept.

    Attributes:
        identity: its name.
        pictures: how many embeddings.
        cameras: where they come from, sorted; those without a camera are not among them.
        first, last: the earliest and the latest time, or None.
    """

    identity: str
    pictures: int
    cameras: tuple[str, ...]
    first: float | None
    last: float | None
