-- Events that a webhook has not taken yet. A row goes when it was taken; what is sent is the audit event, which holds no secret.
CREATE TABLE webhooks (
    id TEXT PRIMARY KEY NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL
);
CREATE INDEX webhooks_due_at ON webhooks (due_at);
