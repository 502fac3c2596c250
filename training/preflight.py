"""Whether a run has what its stages still to come need, before the first step is taken."""

from __future__ import annotations

from collections.abc import Sequence

from .recipe import Recipe, Stage
from .sets import PreparedSet
from .teacher import SIZE


def check(recipe: Recipe, ahead: Sequence[Stage], data: PreparedSet, has_teacher: bool) -> None:
    """Look for the teacher, its prepared answers and the scenes.

    Args:
        recipe: whose run it is.
        ahead: its stages that are not through.
        data: the training set.
        has_teacher: whether there is one to ask in the loop.

    Raises:
        SystemExit: something is missing; it says what to do.
    """
    kinds = {stage.teacher for stage in ahead}
    if data.scenes is None and any(recipe.augmentation_of(stage).scene for stage in ahead):
        raise SystemExit("this recipe needs `python -m training prepare` with --scenes")
    if not has_teacher and "loop" in kinds:
        raise SystemExit("this recipe has its teacher in the loop: name it with --teacher")
    if "prepared" not in kinds:
        return
    if data.teacher is None:
        raise SystemExit("this recipe needs `python -m training prepare` with its --teacher")
    if data.teacher.shape[2] != recipe.teachers * SIZE:
        raise SystemExit("the data were prepared with another number of teachers")
