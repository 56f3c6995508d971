-- Whether the user turned two-step sign-in on: then no password alone opens a session.
ALTER TABLE users ADD COLUMN two_factor BIGINT NOT NULL DEFAULT 0;
-- What was proven for a session, and when: pairs PROOF:TIME with spaces between them. NULL in rows of a release without factors: the password, at `auth_time`.
ALTER TABLE sessions ADD COLUMN proofs TEXT;

-- A sign-in that waits for another proof. The row is deleted when it ends.
CREATE TABLE login_challenges (
    id TEXT PRIMARY KEY NOT NULL,
    secret_hash TEXT NOT NULL UNIQUE,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    login_epoch BIGINT NOT NULL,
    proofs TEXT NOT NULL,
    delivery TEXT NOT NULL,
    remember BIGINT NOT NULL,
    retry TEXT NOT NULL,
    tries BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX login_challenges_user_id ON login_challenges (user_id);
CREATE INDEX login_challenges_expires_at ON login_challenges (expires_at);

-- The secret of an authenticator app, sealed under the master key whose id is `master_key`. `last_step` is the time step of the last code that was
-- accepted: a code is good once. `failures` are the wrong codes of sign-ins since the last right one, `step_up_failures` those inside sessions. Until it is
-- confirmed, only the session in which it was made can confirm it. `proven_mailbox` says whether the mailbox was verified when it was confirmed: then
-- the mailbox alone never removes it.
CREATE TABLE totp (
    user_id TEXT PRIMARY KEY NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    secret_jwe TEXT NOT NULL,
    master_key TEXT NOT NULL,
    confirmed_at BIGINT,
    last_step BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    step_up_failures BIGINT NOT NULL DEFAULT 0,
    session_id TEXT NOT NULL,
    proven_mailbox BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL
);
CREATE INDEX totp_master_key ON totp (master_key);

-- Recovery codes that were not used yet, as SHA-256 of the user's id and the code.
CREATE TABLE recovery_codes (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    code_hash TEXT NOT NULL,
    PRIMARY KEY (user_id, code_hash)
);
