CREATE TABLE IF NOT EXISTS session_history (
    id TEXT PRIMARY KEY,
    agent_name TEXT NOT NULL,
    model TEXT NOT NULL,
    messages TEXT NOT NULL,
    metadata TEXT,
    started_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    ended_at TEXT,
    turn_count INTEGER DEFAULT 0,
    tool_call_count INTEGER DEFAULT 0
);
CREATE INDEX IF NOT EXISTS idx_history_updated ON session_history(updated_at DESC);
CREATE INDEX IF NOT EXISTS idx_history_agent ON session_history(agent_name);
CREATE INDEX IF NOT EXISTS idx_history_started ON session_history(started_at DESC);
ALTER TABLE session_history ADD COLUMN usage TEXT;
