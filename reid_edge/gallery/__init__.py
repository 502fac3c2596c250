"""People to recognise: enrolled under names, kept in one file, found again or told unknown."""

from __future__ import annotations

from .gallery import Gallery
from .results import Candidate, Enrolled, Identification

__all__ = ["Candidate", "Enrolled", "Gallery", "Identification"]
