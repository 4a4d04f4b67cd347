"""Charts of lab frames, each one function: the frames that mining asks go in, a plotly figure comes out.

Every function takes frames as `lab.frame(...)` gives them, and the arguments of the mining function that it draws. All
figures share one template (`template()`), which is readable on light and dark pages, and stay small however many rows
there are. Text from the data is drawn as it is written: nothing in it becomes a link, a tag or a formula. What is not
known is left out or called `unknown`, never drawn as 0; titles and hovers say how much that is.
"""

from sessionlab.charts.call_order import tool_loops, tool_sequences
from sessionlab.charts.comparing import comparison, config_changes
from sessionlab.charts.contexts import cache_economics, context_growth
from sessionlab.charts.look import template
from sessionlab.charts.sessions import expensive_sessions, repeated_prompts, time_spent
from sessionlab.charts.timelines import session_timeline
from sessionlab.charts.tools import tool_durations, tool_reliability
from sessionlab.charts.usage import activity_heatmap, cost_over_time, tokens_over_time

__all__ = [
    "activity_heatmap",
    "cache_economics",
    "comparison",
    "config_changes",
    "context_growth",
    "cost_over_time",
    "expensive_sessions",
    "repeated_prompts",
    "session_timeline",
    "template",
    "time_spent",
    "tokens_over_time",
    "tool_durations",
    "tool_loops",
    "tool_reliability",
    "tool_sequences",
]
