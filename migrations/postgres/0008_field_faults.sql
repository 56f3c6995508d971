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
-- One row: the newest time at which a job of this database ran on a clock that was confirmed. While a process's clock is more than a day away from it,
-- nothing is deleted, rotated or given up until the clock is right again or an operator confirms it. NULL: no job has run yet.
CREATE TABLE clock (
    id BIGINT PRIMARY KEY NOT NULL CHECK (id = 1),
    confirmed_at BIGINT
);
INSERT INTO clock (id, confirmed_at) SELECT 1, MAX(at) FROM audit_events;
-- A random number, another one with every change of the ring: a ring of the same version that was changed differently, after a failover or a restore, is another one.
ALTER TABLE key_ring ADD COLUMN identity BIGINT;
-- Networks that an operator has shut out until a time, and who did it.
CREATE TABLE network_blocks (
    network TEXT PRIMARY KEY NOT NULL,
    reason TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL
);
-- One row: rises whenever an operator blocks a network, lifts a block or clears limits, so that running processes forget what they remember of either.
CREATE TABLE limits_state (
    id BIGINT PRIMARY KEY NOT NULL CHECK (id = 1),
    version BIGINT NOT NULL
);
INSERT INTO limits_state (id, version) VALUES (1, 0);
-- Rows that are written to find out whether the database can be written; they mean nothing else.
CREATE TABLE write_probes (id BIGINT PRIMARY KEY NOT NULL, at BIGINT NOT NULL);
-- Who presented the session's refresh tokens last: sealed entries of one length, the newest first, opened only when a spent token was used again.
ALTER TABLE sessions ADD COLUMN presenters TEXT;
