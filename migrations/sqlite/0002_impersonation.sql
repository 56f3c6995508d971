-- The admin who acts as this session's user; NULL: it is the user's own.
ALTER TABLE sessions ADD COLUMN impersonated_by TEXT;
-- An admin who is shut out must not go on as somebody else.
CREATE INDEX sessions_impersonated_by ON sessions (impersonated_by) WHERE impersonated_by IS NOT NULL;
