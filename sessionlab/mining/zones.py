"""Days and hours of a time zone, right on days of 23 and 25 hours too."""

from __future__ import annotations

import zoneinfo
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import tzlocal

from sessionlab.errors import FrameError

if TYPE_CHECKING:
    from datetime import tzinfo

Period = Literal["hour", "day", "week", "month"]
PERIODS = ("hour", "day", "week", "month")


def zone_of(name: str | None) -> tzinfo:
    """Return a time zone by its IANA name; None is the machine's own.

    Raises:
        FrameError: There is no such zone.
    """
    if name is None:
        return tzlocal.get_localzone()
    try:
        return zoneinfo.ZoneInfo(name)
    except (TypeError, ValueError, OSError, zoneinfo.ZoneInfoNotFoundError) as error:
        raise FrameError(
            f"timezone={name!r} is no time zone. Use an IANA name such as 'Europe/Berlin', or None for this machine's."
        ) from error


def walls(times: pd.Series[Any], zone: tzinfo) -> pd.Series[Any]:
    """Return times as clocks on the wall of a zone show them, without a zone."""
    wall: pd.Series[Any] = times.dt.tz_convert(zone).dt.tz_localize(None)
    return wall


def period_starts(times: pd.Series[Any], period: Period, zone: tzinfo) -> pd.Series[Any]:
    """Return when the hour, day, week (from Monday) or month of each time began in a zone.

    An hour that the clocks show twice is two hours, each with a start of its own; a day is one, be it of 23, 24 or 25
    hours. Where the clocks jump over its beginning, a period begins after the jump.
    """
    wall = walls(times, zone)
    if period == "hour":
        floored = wall.dt.floor("h")
    else:
        floored = wall.dt.normalize()
        if period == "week":
            floored -= pd.to_timedelta(wall.dt.day_of_week, unit="D").astype("timedelta64[us]")
        elif period == "month":
            floored -= pd.to_timedelta(wall.dt.day - 1, unit="D").astype("timedelta64[us]")
    codes, found = pd.factorize(floored)
    starts = pd.DatetimeIndex(found).as_unit("us")
    early = _localized(starts, zone, first=True)
    if period != "hour":
        return pd.Series(early.take(codes))
    late = _localized(starts, zone, first=False)
    both = pd.Series(early.take(codes)), pd.Series(late.take(codes))
    return both[1].where(both[1] <= times.reset_index(drop=True), both[0])


def _localized(walls: pd.DatetimeIndex, zone: tzinfo, *, first: bool) -> pd.DatetimeIndex:
    """Return the moments when clocks show these times; of two, the first or the second."""
    flags = np.full(len(walls), first)
    return walls.tz_localize(zone, ambiguous=flags, nonexistent="shift_forward").as_unit("us")
