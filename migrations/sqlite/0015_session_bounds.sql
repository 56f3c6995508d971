-- The longest time without use of a session, in milliseconds, where the policy of a role bounds it more narrowly than `sessions.idle_ttl`. NULL: as that
-- setting says, and in rows of earlier releases.
ALTER TABLE sessions ADD COLUMN idle_ttl BIGINT;
