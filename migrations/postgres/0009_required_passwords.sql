-- A password opens no session while its `password_epoch` is below the one of the row in `key_ring`: it has to be replaced first. One change of that row
-- requires a new password of every user.
ALTER TABLE accounts ADD COLUMN password_epoch BIGINT NOT NULL DEFAULT 0;
ALTER TABLE key_ring ADD COLUMN password_epoch BIGINT NOT NULL DEFAULT 0;
