-- Tokens per model and day; a day is its first microsecond, since SQLite and DuckDB divide differently.
select
    response_model,
    started_at - started_at % 86400000000 as day,
    sum(output_tokens) as tokens
from turn
group by 1, 2
