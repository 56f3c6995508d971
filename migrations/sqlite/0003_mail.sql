-- What a link in a mail stands for. The token in the link is an HMAC of this row's id and is stored nowhere.
CREATE TABLE mail_tokens (
    id TEXT PRIMARY KEY NOT NULL,
    purpose TEXT NOT NULL CHECK (purpose IN ('verify_email', 'reset_password', 'approve_change', 'verify_change', 'delete_user', 'invitation')),
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    email TEXT NOT NULL,
    new_email TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    session_id TEXT,
    ended_at BIGINT
);
CREATE INDEX mail_tokens_user_id ON mail_tokens (user_id, ended_at);
CREATE INDEX mail_tokens_expires_at ON mail_tokens (expires_at);

-- What is still to be sent. A row goes when its mail was taken, and never holds a secret.
CREATE TABLE mails (
    id TEXT PRIMARY KEY NOT NULL,
    template TEXT NOT NULL,
    recipient TEXT,
    token_id TEXT,
    detail TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL
);
CREATE INDEX mails_due_at ON mails (due_at);
