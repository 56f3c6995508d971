-- Imports of users from other software. A batch is one run over one file; `cursor` is the number of its rows that were carried out. `options` is JSON, without secrets.
CREATE TABLE import_batches (
    id TEXT PRIMARY KEY NOT NULL,
    source TEXT NOT NULL,
    file_hash TEXT NOT NULL,
    options TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('running', 'done', 'rolled_back')),
    cursor BIGINT NOT NULL,
    created BIGINT NOT NULL,
    unchanged BIGINT NOT NULL,
    linked BIGINT NOT NULL,
    skipped BIGINT NOT NULL,
    refused BIGINT NOT NULL,
    actor TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT
);

-- What was done about each row but those whose user had come before. `added` has the ids of the rows of `accounts` that a link added, with spaces between them.
CREATE TABLE import_rows (
    batch_id TEXT NOT NULL REFERENCES import_batches (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    line BIGINT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('create', 'link', 'skip', 'refuse')),
    reason TEXT NOT NULL,
    user_id TEXT REFERENCES users (id) ON DELETE SET NULL,
    added TEXT NOT NULL,
    PRIMARY KEY (batch_id, number)
);
CREATE INDEX import_rows_user_id ON import_rows (user_id) WHERE user_id IS NOT NULL;

-- The users of other software, by which a later import finds them again.
CREATE TABLE foreign_ids (
    source TEXT NOT NULL,
    foreign_id TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    batch_id TEXT NOT NULL,
    PRIMARY KEY (source, foreign_id)
);
CREATE INDEX foreign_ids_user_id ON foreign_ids (user_id);
