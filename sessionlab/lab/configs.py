"""Model configurations of other tools: named by their contents, and without what might be a secret."""

from __future__ import annotations

import json
from dataclasses import fields

import pyarrow as pa

from sessionlab.model import ModelConfig, to_json

_OURS = [f.name for f in fields(ModelConfig) if f.name != "system_instructions"]


def identified(rows: pa.Table) -> pa.Table:
    """Return configurations with their `model_config_id`, and with logins and secrets cut from what they hold."""
    found = []
    for row in rows.to_pylist():
        given = {name: row[name] for name in _OURS if row[name] is not None}
        for name in ("stop_sequences", "extra"):
            if name in given:
                given[name] = json.loads(given[name])
        config = ModelConfig(**given)
        row["api_base"] = config.api_base
        row["extra"] = None if config.extra is None else to_json(config.extra)
        found.append({**row, "model_config_id": config.model_config_id})
    return pa.Table.from_pylist(found, schema=rows.schema)
