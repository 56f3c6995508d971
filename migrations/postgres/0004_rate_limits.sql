-- How often something was done of late. A key is a rule and a hash of whom it counts; a row is worthless once it has expired.
CREATE TABLE rate_limits (
    key TEXT PRIMARY KEY NOT NULL,
    level BIGINT NOT NULL,
    free_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX rate_limits_expires_at ON rate_limits (expires_at);
