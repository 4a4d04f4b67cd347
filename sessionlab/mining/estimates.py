"""Shares and means with their 95% intervals."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sessionlab.mining.columns import Number, Whole

_Z = NormalDist().inv_cdf(0.975)
DRAWS = 2000
_AT_ONCE = 50
BUNDLES = 10_000
LEAST_SESSIONS = 8
"""Of fewer sessions, drawing them again and again says too little about the sessions that were not seen."""


def wilson(count: Number, of: Number) -> tuple[Number, Number]:
    """Return the ends of Wilson's 95% intervals of `count / of`, NaN where `of` is 0.

    E. B. Wilson, Probable Inference, the Law of Succession, and Statistical Inference (1927).

    >>> low, high = wilson(np.array([0.0]), np.array([10.0]))
    >>> float(low[0]), round(float(high[0]), 3)
    (0.0, 0.278)
    """
    n = np.where(of > 0, of, np.nan)
    share = count / n
    middle = share + _Z**2 / (2 * n)
    half = _Z * np.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    low, high = (middle - half) / (1 + _Z**2 / n), (middle + half) / (1 + _Z**2 / n)
    # Rounding must not leave the share itself outside.
    low, high = np.where(count == 0, 0.0, low), np.where(count == n, 1.0, high)
    return np.where(np.isnan(n), np.nan, np.minimum(low, share)), np.where(np.isnan(n), np.nan, np.maximum(high, share))


def newcombe(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    """Return the ends of Newcombe's 95% interval of share b minus share a, each given as (count, of).

    R. G. Newcombe, Interval Estimation for the Difference Between Independent Proportions (1998), method 10.

    >>> [round(end, 4) for end in newcombe((48, 80), (56, 70))]
    [0.0524, 0.3339]
    """
    lows, highs = wilson(np.array([a[0], b[0]], dtype="float64"), np.array([a[1], b[1]], dtype="float64"))
    if np.isnan(lows).any():
        return math.nan, math.nan
    share_a, share_b = a[0] / a[1], b[0] / b[1]
    difference = share_b - share_a
    down = math.hypot(share_b - lows[1], highs[0] - share_a)
    up = math.hypot(highs[1] - share_b, share_a - lows[0])
    return max(difference - down, -1.0), min(difference + up, 1.0)


def bundles(sessions: int, seed: int) -> Whole:
    """Return for each session the number of the bundle that it is drawn with: its own, unless there are very many.

    Then each bundle has some sessions by chance. Their means vary as much, and are drawn in a fraction of the time.
    """
    numbers = np.arange(sessions)
    return numbers if sessions <= BUNDLES else np.random.default_rng(seed).permutation(numbers) % BUNDLES


def drawn_sums(sums: Number, seed: int) -> Number:
    """Draw as many sessions as there are, with repetition, `DRAWS` times; return each draw's sums (draws x columns).

    Args:
        sums: Sessions (or bundles of them) x columns: what each adds.
        seed: The same one gives the same draws.
    """
    random = np.random.default_rng(seed)
    count = len(sums)
    drawn = np.empty((DRAWS, sums.shape[1]))
    for at in range(0, DRAWS, _AT_ONCE):
        picked = random.integers(0, count, (_AT_ONCE, count)) + np.arange(_AT_ONCE)[:, None] * count
        times = np.bincount(picked.ravel(), minlength=_AT_ONCE * count).reshape(_AT_ONCE, count)
        drawn[at : at + _AT_ONCE] = times.astype("float64") @ sums
    return drawn


def drawn_interval(values: Number, estimate: float, sessions: int) -> tuple[float, float]:
    """Return the ends of the middle 95% of drawn values, NaN for fewer than `LEAST_SESSIONS` sessions.

    The percentiles lie further out the fewer sessions there are, as far as Student's t lies outside the normal curve:
    plain ones are too narrow (T. Hesterberg, What Teachers Should Know About the Bootstrap, 2015).
    """
    values = values[np.isfinite(values)]
    if sessions < LEAST_SESSIONS or not len(values):
        return math.nan, math.nan
    tail = NormalDist().cdf(-math.sqrt(sessions / (sessions - 1)) * _student(sessions - 1))
    low, high = np.quantile(values, [tail, 1 - tail])
    return min(float(low), estimate), max(float(high), estimate)


def _student(freedom: int) -> float:
    """Return the 0.975 quantile of Student's t by its series in 1 / freedom; right to 0.001 from 7 on."""
    z, v = _Z, freedom
    return (
        z
        + (z**3 + z) / (4 * v)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
    )
