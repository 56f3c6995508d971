-- How a session tells the retry of its client from the use of a copied token: 'window', by time, or 'ticket'. Of a session with tickets, `ticket` is
-- GENERATION:HASH, the SHA-256 of the ticket with which the token of that generation was made. A row that a version without tickets has rotated holds an older
-- generation there, which counts as none.
ALTER TABLE sessions ADD COLUMN retry TEXT NOT NULL DEFAULT 'window';
ALTER TABLE sessions ADD COLUMN ticket TEXT;
