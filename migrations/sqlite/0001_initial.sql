-- Columns are TEXT and BIGINT; times are Unix milliseconds; bytes are base64url text. The Postgres folder holds the same files.

CREATE TABLE users (
    id TEXT PRIMARY KEY NOT NULL,
    email TEXT NOT NULL UNIQUE,
    email_verified BIGINT NOT NULL CHECK (email_verified IN (0, 1)),
    name TEXT NOT NULL,
    image TEXT,
    role TEXT NOT NULL,
    banned BIGINT NOT NULL CHECK (banned IN (0, 1)),
    ban_reason TEXT,
    ban_expires_at BIGINT,
    disabled_at BIGINT,
    metadata TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- One way to prove who one is; a password is the provider 'credential'.
CREATE TABLE accounts (
    id TEXT PRIMARY KEY NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    provider_id TEXT NOT NULL,
    account_id TEXT NOT NULL,
    password_hash TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (provider_id, account_id)
);
CREATE INDEX accounts_user_id ON accounts (user_id);

-- One row a session, no row a token. No index covers a column that a refresh writes.
CREATE TABLE sessions (
    id TEXT PRIMARY KEY NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_hash TEXT NOT NULL UNIQUE,
    generation BIGINT NOT NULL CHECK (generation BETWEEN 1 AND 4294967295),
    refresh_hash TEXT NOT NULL,
    rotated_at BIGINT NOT NULL,
    idle_expires_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT,
    revoked_reason TEXT,
    delivery TEXT NOT NULL CHECK (delivery IN ('cookie', 'body')),
    remember BIGINT NOT NULL CHECK (remember IN (0, 1)),
    auth_time BIGINT NOT NULL,
    ip_address TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX sessions_user_id ON sessions (user_id);
CREATE INDEX sessions_expires_at ON sessions (expires_at);

-- Revoked and removed keys stay as tombstones without their private part: a kid never returns.
CREATE TABLE signing_keys (
    kid TEXT PRIMARY KEY NOT NULL,
    algorithm TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('active', 'standby', 'retired', 'revoked', 'removed')),
    public_jwk TEXT NOT NULL,
    private_jwe TEXT,
    published_at BIGINT NOT NULL,
    activated_at BIGINT,
    retired_at BIGINT,
    ended_at BIGINT,
    reason TEXT,
    max_ttl BIGINT NOT NULL,
    CHECK (state IN ('revoked', 'removed') OR private_jwe IS NOT NULL)
);
CREATE UNIQUE INDEX signing_keys_one_active ON signing_keys (algorithm) WHERE state = 'active';
CREATE UNIQUE INDEX signing_keys_one_standby ON signing_keys (algorithm) WHERE state = 'standby';

-- The versions that the first byte of a refresh token names; no key material.
CREATE TABLE master_keys (
    version BIGINT PRIMARY KEY NOT NULL CHECK (version BETWEEN 1 AND 255),
    key_id TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    compromised_at BIGINT
);

-- One row: what all replicas must agree on.
CREATE TABLE key_ring (
    id BIGINT PRIMARY KEY NOT NULL CHECK (id = 1),
    version BIGINT NOT NULL,
    master_version BIGINT REFERENCES master_keys (version),
    rotate_after BIGINT,
    verifier_cache BIGINT NOT NULL
);
INSERT INTO key_ring (id, version, master_version, rotate_after, verifier_cache) VALUES (1, 0, NULL, NULL, 0);

-- Append-only; each writer's events are a chain of hashes.
CREATE TABLE audit_events (
    id TEXT NOT NULL,
    writer TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    actor TEXT NOT NULL,
    subject TEXT,
    session_id TEXT,
    ip_address TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    request_id TEXT NOT NULL,
    detail TEXT NOT NULL,
    link TEXT NOT NULL,
    PRIMARY KEY (writer, sequence)
) WITHOUT ROWID;
