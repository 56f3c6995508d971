-- The admin who acts as this session's user; NULL: it is the user's own.
ALTER TABLE sessions ADD COLUMN impersonated_by TEXT;
