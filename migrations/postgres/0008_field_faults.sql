-- Every session of a user ends at once by one change of this row: a session lives only while its own `epoch` is the user's `session_epoch`.
ALTER TABLE users ADD COLUMN session_epoch BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0;

-- Rises with every change of the password, the address or another factor: a known device, which carries the value of its time, is known no longer.
ALTER TABLE users ADD COLUMN login_epoch BIGINT NOT NULL DEFAULT 0;
-- One row a process that serves: when it last wrote. `stopped` is 1 once it has ended in good order.
CREATE TABLE heartbeats (
    writer TEXT PRIMARY KEY NOT NULL,
    beat_at BIGINT NOT NULL,
    stopped BIGINT NOT NULL DEFAULT 0
);
-- Times in which a process, or the whole service, stood still: they do not count against the retry of a refresh token.
CREATE TABLE standstills (
    writer TEXT NOT NULL,
    began_at BIGINT NOT NULL,
    ended_at BIGINT NOT NULL,
    PRIMARY KEY (writer, began_at)
);
