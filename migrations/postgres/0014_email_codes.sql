-- Codes of six digits that are sent to a mailbox, and the links beside them. Neither is stored: both are computed from the row and the master key of
-- the version `key_version`. `binding_hash` is the SHA-256 of the secret that the browser or the app holds which asked; its wrong codes are counted in
-- `tries_of_asker`, those of all others in `tries_of_others`. `device` is the known device that asked. `user_id` is set for a change of the email
-- address and for a second step, `challenge_id` for the second step of a sign-in. `epoch` is that of the key ring, as in `mail_tokens`.
CREATE TABLE login_codes (
    id TEXT PRIMARY KEY NOT NULL,
    purpose TEXT NOT NULL,
    email TEXT NOT NULL,
    user_id TEXT REFERENCES users (id) ON DELETE CASCADE,
    challenge_id TEXT,
    binding_hash TEXT,
    key_version BIGINT NOT NULL,
    has_link BIGINT NOT NULL,
    name TEXT,
    user_agent TEXT NOT NULL,
    device TEXT,
    tries_of_asker BIGINT NOT NULL DEFAULT 0,
    tries_of_others BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    ended_at BIGINT,
    epoch BIGINT NOT NULL
);
CREATE INDEX login_codes_email ON login_codes (email, purpose);
CREATE INDEX login_codes_user_id ON login_codes (user_id);
CREATE INDEX login_codes_challenge_id ON login_codes (challenge_id);
CREATE INDEX login_codes_expires_at ON login_codes (expires_at);
