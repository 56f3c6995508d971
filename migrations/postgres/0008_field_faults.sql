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
-- The same for the sessions in which an admin acts as another user: they live only while their `acting_epoch` is the admin's `acting_epoch`.
ALTER TABLE users ADD COLUMN acting_epoch BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN acting_epoch BIGINT NOT NULL DEFAULT 0;
-- And for everybody: it is added to the epochs of users, and links in mails hold it, so that one row ends all sessions and all links.
ALTER TABLE key_ring ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0;
ALTER TABLE mail_tokens ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0;
-- A user's sessions in the order of their ids: the newest ones are found without reading all.
CREATE INDEX IF NOT EXISTS sessions_of_user ON sessions (user_id, id);
-- A user's live sessions. A refresh writes no column of it.
CREATE INDEX IF NOT EXISTS sessions_live_of_user ON sessions (user_id, epoch, id) WHERE revoked_at IS NULL;
-- Sessions that were ended by an epoch and whose rows are not all marked yet: a background job marks them in small pieces.
CREATE TABLE session_endings (
    id TEXT PRIMARY KEY NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('of_user', 'acted_by', 'everybody', 'deleted')),
    user_id TEXT,
    epoch BIGINT NOT NULL,
    reason TEXT NOT NULL,
    ended_at BIGINT NOT NULL,
    done_to TEXT NOT NULL
);
-- A user who is deleted and has very many sessions: what is personal is gone from the row, no statement finds it, and it goes with the last session.
ALTER TABLE users ADD COLUMN deleted_at BIGINT;
-- When the browser that held the cookies of this session, which was over, has signed in anew: an answer about it clears no cookies from then on.
ALTER TABLE sessions ADD COLUMN left_at BIGINT;
-- One row for each process that runs `serve`: where it runs, which program it is, and the public ids of the master keys that it has loaded, separated by
-- spaces. `seen_at` is written once a second, by the database's clock where it has one. A process that stops in good order deletes its row. `mark` tells
-- a process on the same machine whether this one has ended.
CREATE TABLE processes (
    writer TEXT PRIMARY KEY NOT NULL,
    host TEXT NOT NULL,
    pid BIGINT NOT NULL,
    mark TEXT,
    program TEXT NOT NULL,
    master_keys TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL
);
-- The session of the admin that began this one, in which the admin acts as another user: it ends with that. NULL: an own session, or one of an earlier release.
ALTER TABLE sessions ADD COLUMN acting_session TEXT;
CREATE INDEX sessions_acting_session ON sessions (acting_session) WHERE acting_session IS NOT NULL;
