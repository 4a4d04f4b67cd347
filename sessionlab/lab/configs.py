"""Model configurations of other tools: named by their contents, and without what might be a secret."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import pyarrow as pa

from sessionlab.model import ModelConfig, to_json, without_secrets

_OURS = [f.name for f in fields(ModelConfig) if f.name != "system_instructions"]


def name_configs(tables: dict[str, pa.Table]) -> None:
    """Give configurations their `model_config_id`, and cut logins and secrets from what they hold.

    What is the same without them is one configuration: what names the others by key then names the first.
    """
    rows = tables["model_config"]
    first: dict[str, int] = {}
    same: dict[int, int] = {}
    found = []
    for row in rows.to_pylist():
        config = _config_of(row)
        key = row["model_config_key"]
        kept = first.setdefault(config.model_config_id, key)
        if kept != key:
            same[key] = kept
            continue
        row["api_base"] = config.api_base
        row["extra"] = None if config.extra is None else to_json(config.extra)
        found.append({**row, "model_config_id": config.model_config_id})
    tables["model_config"] = pa.Table.from_pylist(found, schema=rows.schema)
    for table in ("turn", "session_config") if same else ():
        rows = tables[table]
        place = rows.schema.get_field_index("model_config_key")
        keys = [same.get(key, key) for key in rows.column(place).to_pylist()]
        tables[table] = rows.set_column(place, "model_config_key", pa.array(keys, pa.int64()))


def _config_of(row: Mapping[str, Any]) -> ModelConfig:
    given = {name: row[name] for name in _OURS if row[name] is not None}
    for name in ("stop_sequences", "extra"):
        if name in given:
            given[name] = json.loads(given[name])
    if "extra" in given:  # before, since a secret in somebody else's file is no reason for a warning
        given["extra"] = without_secrets(given["extra"])
    for name in ("temperature", "top_p"):
        if name in given and not math.isfinite(given[name]):
            del given[name]
    return ModelConfig(**given)
