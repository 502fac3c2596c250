"""What the export is asked for, and which pictures calibrate and which judge."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from reid_edge._command import counted
from reid_edge._unreadable import named
from reid_edge.datasets import Sample
from reid_edge.errors import DatasetError, OptionError, UnknownPrecisionError

from . import gate, pictures, ranges
from .pictures import PictureSet

PRECISIONS = ("fp32", "fp16", "int8")


@dataclass(frozen=True)
class Wish:
    """Which graphs shall be written, and from which pictures.

    Attributes:
        precisions: of `PRECISIONS`; fp32 is always written.
        calibration: pictures, or where they are, as in `pictures.open_set`; for int8.
        calibration_size: how many of its pictures are used at most.
        method: of `ranges.METHODS`.
        gate: as `calibration`, the pictures to judge on; None takes pictures of `calibration`
            that were not calibrated on.
        keep: convolutions to leave as floats, besides those that always are.
    """

    precisions: Sequence[str] = ("fp32",)
    calibration: str | PictureSet | None = None
    calibration_size: int = 512
    method: str = ranges.DEFAULT_METHOD
    gate: str | PictureSet | None = None
    keep: Sequence[str] = ()

    @property
    def only_fp32(self) -> bool:
        """Whether there is nothing to do."""
        return set(self.precisions) <= {"fp32"}

    def check(self) -> None:
        """Whether the wishes go together.

        Raises:
            OptionError: they do not.
        """
        for name in self.precisions:
            if name not in PRECISIONS:
                raise UnknownPrecisionError(
                    f"no precision {name[:40]!r}; the precisions are {', '.join(PRECISIONS)}"
                )
        ranges.check_method(self.method)
        if self.calibration_size < 1:
            raise OptionError("--calibration-size must be at least 1")
        if self.only_fp32 and (self.calibration or self.gate):
            raise OptionError(
                "--calibration and --gate are for --precision fp16 or int8; leave them out"
            )
        if "int8" in self.precisions and self.calibration is None:
            raise OptionError(
                "int8 needs pictures to calibrate on: give --calibration a folder of crops of "
                "people as your cameras see them, a few hundred"
            )
        if self.keep and "int8" not in self.precisions:
            raise OptionError("--keep goes with --precision int8 only; leave it out")


@dataclass(frozen=True)
class Plan:
    """Which pictures do what."""

    calibration: Sequence[Sample]
    judged: Sequence[Sample]
    labelled: bool
    data: str


def plan_for(wish: Wish) -> Plan:
    """Choose the pictures; warns of too few to calibrate on, and of those that cannot be read.

    Raises:
        DatasetError: there are too few to judge on, of those given for it; or none to calibrate
            on can be read.
    """
    readable = pictures.Readable()
    plan = _chosen(wish, readable)
    if skipped := readable.skipped:
        warnings.warn(
            f"unreadable pictures left out: {len(skipped):,}: {named(skipped)}",
            RuntimeWarning,
            stacklevel=3,
        )
    return plan


def _chosen(wish: Wish, readable: pictures.Readable) -> Plan:
    source = None if wish.calibration is None else pictures.opened(wish.calibration)
    picked: list[Sample] = []
    chosen: list[Sample] = []
    if source is not None and "int8" in wish.precisions:
        picked, chosen = readable.evenly(source.samples, wish.calibration_size)
        if not chosen:
            raise DatasetError(
                f"--calibration {source.name}: no picture can be read, the first: "
                f"{readable.skipped[0]}"
            )
        if len(chosen) < wish.calibration_size:
            warnings.warn(
                f"calibrating on {counted(len(chosen), 'picture', 'pictures')}, as {source.name} "
                f"has no more that can be read; {wish.calibration_size:,} give steadier ranges",
                RuntimeWarning,
                stacklevel=4,
            )
    if wish.gate is not None:
        given = pictures.opened(wish.gate)
        try:
            return _judged_by(given, given.samples, chosen, readable)
        except DatasetError as error:
            told = f"; unreadable: {named(readable.skipped)}" if readable.skipped else ""
            raise DatasetError(f"--gate {given.name}: {error}{told}") from error
    if source is None:
        return Plan(chosen, (), False, "")
    used = {sample.path.resolve() for sample in picked}
    unseen = [sample for sample in source.samples if sample.path.resolve() not in used]
    if source.labelled:
        try:
            return _judged_by(source, unseen, chosen, readable)
        except DatasetError:  # too few are left to rank
            source = PictureSet(source.name, source.samples, False)
    enough = len(unseen) >= 4 * gate.FEWEST
    return _judged_by(source, unseen if enough else source.samples, chosen, readable)


def _judged_by(
    source: PictureSet, samples: list[Sample], chosen: list[Sample], readable: pictures.Readable
) -> Plan:
    """Bound the number of pictures; labelled ones that can be read must be enough to rank.

    Raises:
        DatasetError: they are not.
    """
    if source.labelled:
        if len(samples) > gate.MOST_PICTURES:
            samples = pictures.whole_identities(samples, gate.MOST_PICTURES)
        judged = readable.only(samples)
        gate.check_labelled(judged)
    else:
        samples = pictures.evenly(samples, gate.MOST_UNLABELLED)
        judged = readable.only(samples)
        if len(judged) < gate.FEWEST:
            judged = []
    calibrated = {sample.path.resolve() for sample in chosen}
    overlap = sum(sample.path.resolve() in calibrated for sample in judged)
    also = f", {overlap} of them calibrated on" if overlap else ""
    if skipped := len(samples) - len(readable.only(samples)):
        also += f", {skipped} unreadable left out"
    kind = "labelled" if source.labelled else "unlabelled"
    return Plan(chosen, judged, source.labelled, f"{source.name} ({kind}{also})")
