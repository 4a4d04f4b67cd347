"""Questions to the frames of a lab, each answered with a tidy dataframe.

Every function takes frames as `lab.frame(...)` gives them and reads only the columns that it names. The result has
declared dtypes, with or without rows: times `datetime64[us]` with a zone, whole numbers `Int64`, `_s`, `_usd`, shares
and rates `float64`, truth `boolean`, text `str`. A session is a source and a session_id. NULL means that something is
not known and is never taken for 0: sums are of what is known, and a count beside them says what is not. Nothing is
estimated but the ends of intervals.
"""

from sessionlab.mining.cache import cache_economics
from sessionlab.mining.comparing import compare
from sessionlab.mining.configs import config_changes, config_difference
from sessionlab.mining.context import compactions, context_growth
from sessionlab.mining.durations import time_spent
from sessionlab.mining.prompts import expensive_sessions, repeated_prompts
from sessionlab.mining.timeline import timeline
from sessionlab.mining.tools import tool_loops, tool_reliability, tool_sequences
from sessionlab.mining.usage import activity, usage_over_time

__all__ = [
    "activity",
    "cache_economics",
    "compactions",
    "compare",
    "config_changes",
    "config_difference",
    "context_growth",
    "expensive_sessions",
    "repeated_prompts",
    "time_spent",
    "timeline",
    "tool_loops",
    "tool_reliability",
    "tool_sequences",
    "usage_over_time",
]
