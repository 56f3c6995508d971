-- Identities of other issuers. `issuer` is the issuer that vouched for the identity: one of another issuer under the same provider id is another identity.
-- `email` is the email address that the issuer named last, `scopes` has spaces between its words. NULL in rows of passwords and of earlier releases.
ALTER TABLE accounts ADD COLUMN issuer TEXT;
ALTER TABLE accounts ADD COLUMN email TEXT;
ALTER TABLE accounts ADD COLUMN last_used_at BIGINT;
ALTER TABLE accounts ADD COLUMN scopes TEXT;

-- The row of `accounts` whose identity opened the session: the session ends when that identity is unlinked.
ALTER TABLE sessions ADD COLUMN account_id TEXT;
CREATE INDEX sessions_account_id ON sessions (account_id) WHERE account_id IS NOT NULL;

-- The session at the issuer (`sid`) in which that identity signed in: the issuer ends ours by it.
ALTER TABLE sessions ADD COLUMN upstream_sid TEXT;
CREATE INDEX sessions_upstream_sid ON sessions (upstream_sid) WHERE upstream_sid IS NOT NULL;

-- The identity that began a sign-in which waits for another proof, as JSON. It is linked when the session opens.
ALTER TABLE login_challenges ADD COLUMN upstream TEXT;
CREATE INDEX login_challenges_upstream ON login_challenges (expires_at) WHERE upstream IS NOT NULL;
