-- Every session of a user ends at once by one change of this row: a session lives only while its own `epoch` is the user's `session_epoch`.
ALTER TABLE users ADD COLUMN session_epoch BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0;

-- Rises with every change of the password, the address or another factor: a known device, which carries the value of its time, is known no longer.
ALTER TABLE users ADD COLUMN login_epoch BIGINT NOT NULL DEFAULT 0;
