-- Passkeys (WebAuthn). `credential_id`, `user_handle` and the COSE key `public_key` are base64url. `user_handle` is what the authenticator gives back at a
-- sign-in; NULL in imported rows until their first use. `uv` says whether the authenticator has ever verified its user, `counter` is 0 where it does not
-- count. `transports` has commas between its words.
CREATE TABLE passkeys (
    id TEXT PRIMARY KEY NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    credential_id TEXT NOT NULL UNIQUE,
    public_key TEXT NOT NULL,
    counter BIGINT NOT NULL,
    aaguid TEXT NOT NULL,
    transports TEXT NOT NULL,
    backup_eligible BIGINT NOT NULL,
    backed_up BIGINT NOT NULL,
    uv BIGINT NOT NULL,
    user_handle TEXT,
    name TEXT,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT
);
CREATE INDEX passkeys_user_id ON passkeys (user_id);
-- By what authenticators know the user: 32 random bytes for life, drawn when a first passkey is made.
ALTER TABLE users ADD COLUMN passkey_handle TEXT;
CREATE UNIQUE INDEX users_passkey_handle ON users (passkey_handle);

-- Challenges of passkeys that were answered, by their hash: each is good once.
CREATE TABLE used_assertions (
    hash TEXT PRIMARY KEY NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX used_assertions_expires_at ON used_assertions (expires_at);
