"""The read side: histories copied into DuckDB and handed out as dataframes. The only place that imports duckdb."""
