CREATE TABLE IF NOT EXISTS usage (
    user_key    TEXT NOT NULL,
    snapshot    TEXT NOT NULL,
    updated_at  INTEGER NOT NULL,
    PRIMARY KEY (user_key)
);
