"""Which settings of a model changed inside sessions, and in what two configurations differ."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sessionlab.errors import FrameError
from sessionlab.lab.frames import FRAMES
from sessionlab.mining.columns import KEY, is_true, needed, places, result, session_codes

if TYPE_CHECKING:
    from sessionlab.lab.frames import Type

_SETTINGS = tuple(
    name
    for name in FRAMES["model_configs"].column_names
    if name not in ("source", "model_config_id", "first_used_at", "last_used_at", "session_count", "turn_count")
)
_CHANGES: dict[str, Type] = {
    "source": "text",
    "session_id": "text",
    "turn_id": "text",
    "turn_index": "integer",
    "started_at": "time",
    "setting": "text",
    "before": "text",
    "after": "text",
    "model_config_id_before": "text",
    "model_config_id": "text",
}
_DIFFERENCE: dict[str, Type] = {"setting": "text", "a": "text", "b": "text"}


def config_changes(turns: pd.DataFrame, model_configs: pd.DataFrame) -> pd.DataFrame:
    """Find where a session went on with other settings: one row per setting that changed between two turns.

    Compared are turns of the main line that follow each other among those whose configuration is known. The rows come
    by source, session and turn, and within a turn in the order of the settings in `model_configs`.

    Needs source, session_id, turn_id, turn_index, started_at, model_config_id and is_sidechain; of the configurations
    source and model_config_id, and those settings that are to be compared.

    | column | unit | meaning |
    |---|---|---|
    | `source`, `session_id`, `turn_id`, `turn_index`, `started_at` | | the first turn with the new settings |
    | `setting` | | a column of `model_configs`; `extra.x` for x inside `extra`; `model_config_id` if one is not there |
    | `before`, `after` | as the setting | its values as text; NULL where it was not set |
    | `model_config_id_before`, `model_config_id` | | the configurations |

    Raises:
        FrameError: A needed column is missing.

    >>> from sessionlab.lab.frames import empty
    >>> len(config_changes(empty("turns"), empty("model_configs")))
    0
    """
    columns = (*KEY, "turn_id", "turn_index", "started_at", "model_config_id", "is_sidechain")
    rows = needed(turns, "config_changes", "turns", columns)
    configs = _configs(model_configs, "config_changes")
    rows = rows[rows["model_config_id"].notna().to_numpy(bool) & ~is_true(rows["is_sidechain"])]
    (session,), _ = session_codes(rows)
    order = np.lexsort((places(rows["turn_index"]), session))
    rows, session = rows.iloc[order].reset_index(drop=True), session[order]
    before = rows["model_config_id"].shift()
    changed = (np.diff(session, prepend=-1) == 0) & (rows["model_config_id"] != before).to_numpy(bool)
    rows, before = rows[changed], before[changed]
    pairs = pd.DataFrame({"source": rows["source"], "before": before, "after": rows["model_config_id"]})
    found = [
        (row, *difference)
        for row, differences in enumerate(_differences(pairs.to_numpy(dtype=object).tolist(), configs))
        for difference in differences
    ]
    taken = rows.iloc[[row for row, *_ in found]]
    values = {name: taken[name] for name in (*KEY, "turn_id", "turn_index", "started_at")}
    return result(
        _CHANGES,
        {
            **values,
            "setting": [setting for _, setting, _, _ in found],
            "before": [old for _, _, old, _ in found],
            "after": [new for _, _, _, new in found],
            "model_config_id_before": before.iloc[[row for row, *_ in found]],
            "model_config_id": taken["model_config_id"],
        },
    )


def config_difference(model_configs: pd.DataFrame, a: str, b: str) -> pd.DataFrame:
    """Compare two model configurations: one row per setting in which they differ, in the order of `model_configs`.

    Needs source and model_config_id, and those settings that are to be compared.

    | column | unit | meaning |
    |---|---|---|
    | `setting` | | a column of `model_configs`; `extra.x` for x inside `extra` |
    | `a`, `b` | as the setting | its values as text; NULL where it is not set |

    Args:
        model_configs: The frame.
        a: A `model_config_id`, or its beginning.
        b: The other one.

    Raises:
        FrameError: A needed column is missing, or there is no such configuration, or there are several.

    >>> from sessionlab.lab.frames import empty
    >>> config_difference(empty("model_configs"), "da50", "0bec")
    Traceback (most recent call last):
    sessionlab.errors.FrameError: There is no model configuration 'da50'. See model_config_id.
    """
    configs = _configs(model_configs, "config_difference")
    settings = [_settings_of(configs, config) for config in (a, b)]
    found = _difference(*settings)
    values = {name: [row[number] for row in found] for number, name in enumerate(_DIFFERENCE)}
    return result(_DIFFERENCE, values)


_Settings = dict[str, str | None]
_Difference = tuple[str, str | None, str | None]


def _configs(model_configs: pd.DataFrame, function: str) -> dict[tuple[Any, Any], _Settings]:
    """Return each configuration's settings as text, by its source and id."""
    kept = needed(model_configs, function, "model_configs", ("source", "model_config_id"))
    names = [name for name in _SETTINGS if name in model_configs.columns]
    columns = [model_configs[name].tolist() for name in names]
    configs = {}
    for number, key in enumerate(zip(kept["source"].tolist(), kept["model_config_id"].tolist(), strict=True)):
        settings: _Settings = {}
        for name, column in zip(names, columns, strict=True):
            settings |= _inside(column[number]) if name == "extra" else {name: _text(column[number])}
        configs[key] = settings
    return configs


def _settings_of(configs: dict[tuple[Any, Any], _Settings], wanted: str) -> _Settings:
    """Return the settings of the one configuration whose id is or begins so."""
    ids = {str(config) for _, config in configs}
    found = [wanted] if wanted in ids else [config for config in ids if config.startswith(wanted)]
    if not found:
        raise FrameError(f"There is no model configuration {wanted!r}. See model_config_id.")
    if len(found) > 1:
        raise FrameError(f"{wanted!r} may mean {len(found)} model configurations. Give more of the id.")
    settings = [settings for (_, config), settings in configs.items() if config == found[0]]
    if any(other != settings[0] for other in settings):
        raise FrameError(f"{found[0]!r} has other settings in another source. Give the configurations of one source.")
    return settings[0]


def _differences(pairs: list[list[Any]], configs: dict[tuple[Any, Any], _Settings]) -> list[list[_Difference]]:
    """Return what differs in each pair of configurations; each two are compared once."""
    known: dict[tuple[Any, ...], list[_Difference]] = {}
    for source, before, after in pairs:
        if (source, before, after) in known:
            continue
        old, new = configs.get((source, before)), configs.get((source, after))
        unknown: list[_Difference] = [("model_config_id", str(before), str(after))]
        known[source, before, after] = unknown if old is None or new is None else _difference(old, new)
    return [known[tuple(pair)] for pair in pairs]


def _difference(a: _Settings, b: _Settings) -> list[_Difference]:
    return [(name, a.get(name), b.get(name)) for name in dict.fromkeys((*a, *b)) if a.get(name) != b.get(name)]


def _inside(extra: Any) -> _Settings:
    """Return the settings inside `extra` each by its own name, or the text as it is where it is no JSON object."""
    if _text(extra) is None:
        return {}
    try:
        inside = json.loads(extra)
    except (TypeError, ValueError):
        inside = None
    if not isinstance(inside, dict):
        return {"extra": _text(extra)}
    return {f"extra.{name}": _text(value) for name, value in sorted(inside.items())}


def _text(value: Any) -> str | None:
    """Return a setting as text: whole numbers without a point, lists and truth as JSON has them."""
    if isinstance(value, (list, dict, bool, np.bool_, np.ndarray)):
        value = value.tolist() if isinstance(value, (np.ndarray, np.bool_)) else value
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    if value is None or pd.isna(value):
        return None
    return str(value).removesuffix(".0") if isinstance(value, (float, np.floating)) else str(value)
