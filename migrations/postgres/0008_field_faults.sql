-- Every session of a user ends at once by one change of this row: a session lives only while its own `epoch` is the user's `session_epoch`.
ALTER TABLE users ADD COLUMN session_epoch BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0;
