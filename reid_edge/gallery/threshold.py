"""From an accepted false-positive identification rate to a threshold.

FPIR is the share of strangers for whom any enrolled identity is above the threshold (ISO/IEC
19795-1; NIST FRVT 1:N).  It grows with the gallery: a stranger is compared with everyone, and
the highest of many scores counts.  Two sources are joined:

*The gallery itself.*  Each enrolled person's pictures, held against all others', are strangers to
this gallery but for one identity.  The tail of these maxima is taken to be exponential, which
is the generalised Pareto distribution of shape 0 (Pickands, Annals of Statistics 1975); its scale
is the mean excess over the 80 % quantile.  This knows the cameras, and takes many people.

*The model's false accept rates*, measured on pairs of its calibration people (`far_1e-2` and
`far_1e-3` of the bundle), continued as a straight line from the logit of the score to the
logarithm of the rate.  With n independent comparisons, FPIR = 1 - (1 - FAR)^n.  Pictures of one
person are not independent: k of them count as sqrt(k), which was found on held-out people with 1
to 17 pictures each.  This needs nobody, and does not know the cameras.

The threshold is the mean of both with weights N and `_PRIOR`, for N identities: with few, one's
own estimate is mostly chance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..bundle import Threshold
from ..errors import UnsuitableModelError
from ..heads import CosineHead

LEAST_FPIR, MOST_FPIR = 1e-9, 0.5
_TAIL = 0.2  # the share of maxima that the tail is fitted to
_PRIOR = 50  # identities that the model's own rates are worth
_FEWEST = 10  # identities to estimate anything from
_FEWEST_ALONE = 20  # where the model has no rates


def cosine_at(
    fpir: float,
    strangers: NDArray[np.floating],
    pictures: NDArray[np.integer],
    head: CosineHead,
    rates: Mapping[str, Threshold],
) -> float:
    """The cosine that a share `fpir` of strangers exceeds with any identity.

    Args:
        fpir: in 1e-9...0.5.
        strangers: (p,) from `Index.strangers`; not looked at for fewer than 10 identities.
        pictures: (N,) how many each identity has.
        head: of the model.
        rates: the model's thresholds.

    Raises:
        UnsuitableModelError: the model has no rates, and there are too few people to do without.
    """
    count = len(pictures)
    model = _from_rates(fpir, float(np.sqrt(pictures).sum()), head, rates)
    if model is None and count < _FEWEST_ALONE:
        raise UnsuitableModelError(
            "this model's bundle records no thresholds far_1e-2 and far_1e-3, and with "
            f"{count} identities none can be estimated; enrol {_FEWEST_ALONE} or more, or "
            "calibrate the model (python -m reid_edge.bench --calibrate); in Python, threshold= "
            "decides by a score of your own"
        )
    if count < _FEWEST and model is not None:
        return model
    own = _from_strangers(-math.expm1(math.log1p(-fpir) * (count - 1) / count), strangers)
    return own if model is None else (count * own + _PRIOR * model) / (count + _PRIOR)


def _from_strangers(fpir: float, strangers: NDArray[np.floating]) -> float:
    if fpir >= _TAIL:
        return float(np.quantile(strangers, 1 - fpir))
    start = float(np.quantile(strangers, 1 - _TAIL))
    excess = strangers[strangers > start] - start
    scale = float(excess.mean(dtype=np.float64)) if len(excess) else 0.0
    return start + scale * math.log(_TAIL / fpir)


def _from_rates(
    fpir: float, comparisons: float, head: CosineHead, rates: Mapping[str, Threshold]
) -> float | None:
    if not {"far_1e-2", "far_1e-3"} <= rates.keys():
        return None
    at_2, at_3 = (_logit(rates[name].score) for name in ("far_1e-2", "far_1e-3"))
    if at_3 <= at_2:
        return None
    decades = -math.log10(-math.expm1(math.log1p(-fpir) / comparisons))
    return (at_2 + (at_3 - at_2) * (decades - 2) - head.bias) / head.scale


def _logit(score: float) -> float:
    clipped = min(max(score, 1e-9), 1 - 1e-9)
    return math.log(clipped / (1 - clipped))
