-- When an account goes that signed up and was never proven to be its owner's. Nothing else sets it; a change of the account makes it say nothing.
ALTER TABLE users ADD COLUMN unproven_until BIGINT;
CREATE INDEX users_unproven_until ON users (unproven_until) WHERE unproven_until IS NOT NULL AND email_verified = 0 AND version = 1;
