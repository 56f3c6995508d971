//! The tables of sign-ins and factors, for `copy_tables`.

use super::copy_table::Table;

pub(super) const UPSTREAM_TOKENS: Table = Table {
    name: "upstream_tokens",
    key: &["account_id"],
    texts: &["account_id", "tokens_jwe", "master_key"],
    numbers: &["expires_at", "renewing_until", "updated_at"],
};

pub(super) const RECOVERY_CODES: Table = Table {
    name: "recovery_codes",
    key: &["user_id", "code_hash"],
    texts: &["user_id", "code_hash"],
    numbers: &[],
};

pub(super) const PASSKEYS: Table = Table {
    name: "passkeys",
    key: &["id"],
    texts: &[
        "id",
        "user_id",
        "credential_id",
        "public_key",
        "aaguid",
        "transports",
        "user_handle",
        "name",
    ],
    numbers: &[
        "counter",
        "backup_eligible",
        "backed_up",
        "uv",
        "created_at",
        "last_used_at",
    ],
};

pub(super) const USED_ASSERTIONS: Table = Table {
    name: "used_assertions",
    key: &["hash"],
    texts: &["hash"],
    numbers: &["expires_at"],
};

pub(super) const LOGIN_CHALLENGES: Table = Table {
    name: "login_challenges",
    key: &["id"],
    texts: &[
        "id",
        "secret_hash",
        "user_id",
        "proofs",
        "delivery",
        "retry",
        "upstream",
        "upstream_tokens",
    ],
    numbers: &["login_epoch", "remember", "tries", "expires_at"],
};

pub(super) const LOGIN_CODES: Table = Table {
    name: "login_codes",
    key: &["id"],
    texts: &[
        "id",
        "purpose",
        "email",
        "user_id",
        "challenge_id",
        "binding_hash",
        "name",
        "user_agent",
        "device",
    ],
    numbers: &[
        "key_version",
        "has_link",
        "tries_of_asker",
        "tries_of_others",
        "created_at",
        "expires_at",
        "ended_at",
        "epoch",
    ],
};
