"""What goes into mining and what comes out: the columns a function needs, and its result's declared dtypes."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sessionlab.errors import FrameError, warn
from sessionlab.lab.frames import FRAMES, Type

if TYPE_CHECKING:
    import numpy.typing as npt

    Whole = npt.NDArray[np.int64]
    Truth = npt.NDArray[np.bool_]
    Number = npt.NDArray[np.float64]

KEY = ("source", "session_id")
NO_TIME = int(np.iinfo(np.int64).min)  # how NumPy keeps a time that is not known
_LAST = 2**31  # after every place in a session
_DTYPES: Mapping[Type, Any] = {
    "text": pd.StringDtype(storage="pyarrow", na_value=float("nan")),
    "integer": pd.Int64Dtype(),
    "number": np.dtype("float64"),
    "boolean": pd.BooleanDtype(),
    "time": pd.DatetimeTZDtype("us", "UTC"),
}


def needed(frame: pd.DataFrame, function: str, name: str, columns: Iterable[str]) -> pd.DataFrame:
    """Return the named columns of a lab frame, counted from 0, with the dtypes that the registry declares.

    Raises:
        FrameError: `frame` is no pandas dataframe, lacks one of them, or holds what does not fit the column.
    """
    if not isinstance(frame, pd.DataFrame):
        raise FrameError(
            f"mining.{function} got a {_kind(frame)}. Give it the pandas frame that lab.frame({name!r}) returns."
        )
    chosen = {}
    for column in dict.fromkeys(columns):
        if column not in frame.columns:
            raise FrameError(
                f"mining.{function} needs the column {column!r}, which the frame lacks. {_remedy(frame, name, column)}"
            )
        chosen[column] = _as_declared(frame[column], name, function)
    return pd.DataFrame(chosen).reset_index(drop=True)


def _kind(thing: object) -> str:
    package, name = type(thing).__module__.partition(".")[0], type(thing).__name__
    return name if package == "builtins" else f"{package} {name}"


def _remedy(frame: pd.DataFrame, name: str, column: str) -> str:
    """Return what to do about a column that is not there."""
    columns = [str(one) for one in frame.columns]
    given = next((one.name for one in FRAMES.values() if set(columns) == set(one.column_names)), name)
    if given != name:
        return f'This looks like lab.frame("{given}"); give it lab.frame("{name}").'
    near = difflib.get_close_matches(column, columns, n=1, cutoff=0.75)
    if near and column not in FRAMES[name].column_names:
        return f"Did you mean {near[0]!r}?"
    if column not in FRAMES[name].column_names:
        return f"It is no column of {name!r}: merge it in before."
    return f'Give it all of lab.frame("{name}"), or name it in columns=.'


def one_of(value: Any, allowed: Sequence[str], what: str) -> None:
    """Raise `FrameError` unless a value is one of those allowed."""
    if value not in allowed:
        near = difflib.get_close_matches(str(value), allowed, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Use one of {', '.join(map(repr, allowed))}."
        raise FrameError(f"{what}={value!r} is not known. {hint}")


def whole(value: Any, least: int, what: str, *, or_none: bool = False) -> None:
    """Raise `FrameError` unless a value is a whole number of `least` or more."""
    fits = isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= least
    if not fits and not (or_none and value is None):
        raise FrameError(f"{what}={value!r}: expected a whole number of {least} or more{' or None' * or_none}.")


def free_name(by: str, taken: Iterable[str], function: str) -> None:
    """Raise `FrameError` where what to group by is no column's name, or that of a column of the result."""
    if not isinstance(by, str):
        raise FrameError(
            f"mining.{function}: by={by!r}, and it wants the name of one column. Join several to one first."
        )
    if by in taken:
        raise FrameError(
            f"mining.{function} cannot group by {by!r}, which is the name of a column of its result. "
            "Give the column another name first."
        )


def result(kinds: Mapping[str, Type], values: Mapping[str, Any]) -> pd.DataFrame:
    """Return a frame with the columns and dtypes of `kinds`, whatever the rows; other values keep their dtype."""
    made = {}
    for name, given in values.items():
        series = given.reset_index(drop=True) if isinstance(given, pd.Series) else pd.Series(given)
        made[name] = series.astype(_DTYPES[kinds[name]]) if name in kinds else series
    return pd.DataFrame(made)


def session_codes(*frames: pd.DataFrame) -> tuple[list[Whole], pd.DataFrame]:
    """Return each frame's rows' sessions as numbers, and the sessions, sorted by source and session_id."""
    keys = pd.concat([frame[list(KEY)] for frame in frames], ignore_index=True)
    sources, first = pd.factorize(keys["source"], sort=True)
    ids, second = pd.factorize(keys["session_id"], sort=True)
    # NULL is -1; it makes a session like any other, the first.
    pairs = (sources.astype("int64") + 1) * (len(second) + 1) + ids + 1
    known, codes = np.unique(pairs, return_inverse=True)
    sources, ids = known // (len(second) + 1) - 1, known % (len(second) + 1) - 1
    sessions = pd.DataFrame(
        {
            "source": pd.Series(first).astype(_DTYPES["text"]).reindex(sources).reset_index(drop=True),
            "session_id": pd.Series(second).astype(_DTYPES["text"]).reindex(ids).reset_index(drop=True),
        }
    )
    ends = np.cumsum([len(frame) for frame in frames])[:-1]
    return np.split(codes.astype("int64"), ends), sessions


def groups(column: pd.Series[Any], function: str) -> tuple[Whole, pd.Series[Any]]:
    """Return each row's group as a number and the groups' values in order, NULL as a group of its own, the last.

    Raises:
        FrameError: The column holds what cannot be grouped, such as lists.
    """
    try:
        codes, values = pd.factorize(column, sort=True)
    except TypeError as error:
        raise FrameError(
            f"mining.{function} cannot group by {column.name!r}: {error}. Choose a column of single values."
        ) from error
    codes = np.where(codes < 0, len(values), codes).astype("int64")
    first = np.unique(codes, return_index=True)[1]
    # A categorical column may have values that no row has; numbers have no gaps.
    codes = np.searchsorted(np.sort(codes[first]), codes)
    return codes.astype("int64"), column.iloc[first].reset_index(drop=True)


def distinct(numbers: Whole) -> Whole:
    """Return the numbers that occur, in order.

    By sorting: NumPy's `unique` without indices hashes, which took 1 s for a million numbers in a row, not 0.02.
    """
    numbers = np.sort(numbers)
    found: Whole = numbers[np.append(True, numbers[1:] != numbers[:-1])[: len(numbers)]]
    return found


def microseconds(column: pd.Series[Any]) -> Whole:
    """Return times as microseconds since 1970, `NO_TIME` where they are not known."""
    return column.to_numpy(dtype="datetime64[us]").astype("int64")


def at(microseconds: Whole) -> pd.Series[Any]:
    """Return microseconds since 1970 as times in UTC; `NO_TIME` is NULL."""
    return pd.Series(microseconds.astype("datetime64[us]")).dt.tz_localize("UTC")


def seconds(microseconds: Whole, known: Truth) -> Number:
    """Return lengths in seconds, NaN where they are not known."""
    return np.where(known, microseconds / 1e6, np.nan)


def lengths(column: pd.Series[Any]) -> tuple[Whole, Truth]:
    """Return seconds as whole microseconds, and which are known; a length below 0 is not."""
    values = column.to_numpy(dtype="float64")
    known = np.isfinite(values) & (values >= 0) & (values < 1e12)
    return np.round(np.where(known, values, 0.0) * 1e6).astype("int64"), known


def places(column: pd.Series[Any]) -> Whole:
    """Return an `_index` column as numbers; a place that is not known comes last."""
    return column.to_numpy(dtype="int64", na_value=_LAST)


def is_true(column: pd.Series[Any]) -> Truth:
    """Return which are true; not known is not."""
    return column.to_numpy(dtype="bool", na_value=False)


def without_time(frame: pd.DataFrame, column: str, what: str) -> pd.DataFrame:
    """Return the rows that have a time, and say once how many have none."""
    missing = frame[column].isna()
    say_without_time(int(missing.sum()), what)
    return frame[~missing].reset_index(drop=True) if missing.any() else frame


def say_without_time(count: int, what: str) -> None:
    """Warn that some rows have no time, if there are any."""
    if count:
        warn(f"{count} {what} without a time left out. They have no place on a time axis.")


def _as_declared(column: pd.Series[Any], name: str, function: str) -> pd.Series[Any]:
    kinds = {declared.name: declared.type for declared in FRAMES[name].columns}
    dtype = _DTYPES.get(kinds.get(str(column.name), "list"))
    if dtype is None or column.dtype == dtype:
        return column
    try:
        if dtype == _DTYPES["time"]:
            if pd.api.types.is_datetime64_any_dtype(column) and column.dt.tz is None:
                raise FrameError(
                    f"mining.{function}: the column {column.name!r} has times without a time zone. "
                    f'Say which: frame[{column.name!r}].dt.tz_localize("UTC").'
                )
            return pd.to_datetime(column, utc=True).dt.as_unit("us")
        return column.astype(dtype)
    except (TypeError, ValueError) as error:
        raise FrameError(
            f"mining.{function}: the column {column.name!r} is {column.dtype} and does not fit {dtype}: {error}. "
            f'Give it as lab.frame("{name}") has it.'
        ) from error
