//! The tables that `copy` copies, with their columns.

/// The value of one column of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// A TEXT value.
    Text(Option<String>),
    /// A BIGINT value.
    Number(Option<i64>),
}

/// The cells of one row: texts first, then numbers.
pub type Cells = Vec<Cell>;

/// A table and its columns; a test compares the list with the schema.
#[derive(Debug)]
pub struct Table {
    /// Name of the table.
    pub name: &'static str,
    pub(super) key: &'static [&'static str],
    pub(super) texts: &'static [&'static str],
    pub(super) numbers: &'static [&'static str],
}

/// Every table except `key_ring`. Referenced tables come first, `sessions` last, because it is what
/// changes if a process still serves from the source.
pub const TABLES: [Table; 20] = [
    Table {
        name: "users",
        key: &["id"],
        texts: &[
            "id",
            "email",
            "name",
            "image",
            "role",
            "ban_reason",
            "metadata",
            "language",
        ],
        numbers: &[
            "email_verified",
            "banned",
            "ban_expires_at",
            "disabled_at",
            "version",
            "login_epoch",
            "created_at",
            "updated_at",
            "unproven_until",
            "session_epoch",
            "acting_epoch",
            "deleted_at",
        ],
    },
    Table {
        name: "accounts",
        key: &["id"],
        texts: &[
            "id",
            "user_id",
            "provider_id",
            "account_id",
            "password_hash",
        ],
        numbers: &["created_at", "updated_at", "password_epoch"],
    },
    Table {
        name: "mail_tokens",
        key: &["id"],
        texts: &[
            "id",
            "purpose",
            "user_id",
            "email",
            "new_email",
            "session_id",
        ],
        numbers: &["created_at", "expires_at", "ended_at", "epoch"],
    },
    Table {
        name: "audit_chains",
        key: &["writer"],
        texts: &["writer", "link", "pruned_link"],
        numbers: &["sequence", "pruned_sequence"],
    },
    Table {
        name: "clock",
        key: &["id"],
        texts: &[],
        numbers: &["id", "confirmed_at"],
    },
    Table {
        name: "network_blocks",
        key: &["network"],
        texts: &["network", "reason"],
        numbers: &["created_at", "ends_at"],
    },
    Table {
        name: "limits_state",
        key: &["id"],
        texts: &[],
        numbers: &["id", "version"],
    },
    Table {
        name: "rate_limits",
        key: &["key"],
        texts: &["key"],
        numbers: &["level", "free_at", "expires_at"],
    },
    Table {
        name: "heartbeats",
        key: &["writer"],
        texts: &["writer"],
        numbers: &["beat_at", "stopped"],
    },
    Table {
        name: "processes",
        key: &["writer"],
        texts: &["writer", "host", "mark", "program", "master_keys"],
        numbers: &["pid", "started_at", "seen_at"],
    },
    Table {
        name: "standstills",
        key: &["writer", "began_at"],
        texts: &["writer"],
        numbers: &["began_at", "ended_at"],
    },
    Table {
        name: "mails",
        key: &["id"],
        texts: &["id", "template", "recipient", "token_id", "detail"],
        numbers: &["attempts", "created_at", "due_at"],
    },
    Table {
        name: "session_endings",
        key: &["id"],
        texts: &["id", "kind", "user_id", "reason", "done_to"],
        numbers: &["epoch", "ended_at"],
    },
    Table {
        name: "webhooks",
        key: &["id"],
        texts: &["id", "kind", "body"],
        numbers: &["attempts", "created_at", "due_at"],
    },
    Table {
        name: "key_slots",
        key: &["algorithm"],
        texts: &["algorithm"],
        numbers: &["rotate_after", "verifier_cache"],
    },
    Table {
        name: "signing_keys",
        key: &["kid"],
        texts: &[
            "kid",
            "algorithm",
            "state",
            "public_jwk",
            "private_jwe",
            "reason",
            "thumbprint",
        ],
        numbers: &[
            "published_at",
            "activated_at",
            "retired_at",
            "ended_at",
            "max_ttl",
        ],
    },
    Table {
        name: "master_keys",
        key: &["version"],
        texts: &["key_id"],
        numbers: &["version", "created_at", "compromised_at"],
    },
    Table {
        name: "write_probes",
        key: &["id"],
        texts: &[],
        numbers: &["id", "at"],
    },
    Table {
        name: "audit_events",
        key: &["writer", "sequence"],
        texts: &[
            "id",
            "writer",
            "kind",
            "actor",
            "subject",
            "session_id",
            "ip_address",
            "user_agent",
            "request_id",
            "detail",
            "link",
        ],
        numbers: &["sequence", "at"],
    },
    Table {
        name: "sessions",
        key: &["id"],
        texts: &[
            "id",
            "user_id",
            "token_hash",
            "refresh_hash",
            "revoked_reason",
            "delivery",
            "ip_address",
            "user_agent",
            "impersonated_by",
            "presenters",
            "acting_session",
            "retry",
            "ticket",
        ],
        numbers: &[
            "generation",
            "rotated_at",
            "idle_expires_at",
            "expires_at",
            "revoked_at",
            "remember",
            "auth_time",
            "created_at",
            "updated_at",
            "epoch",
            "acting_epoch",
            "left_at",
        ],
    },
];

/// The single row that marks a database as in use. It is copied last, so that after an interrupted
/// copy the target is not in use and the copy can be started again.
pub const RING: Table = Table {
    name: "key_ring",
    key: &["id"],
    texts: &[],
    numbers: &[
        "id",
        "version",
        "master_version",
        "rotate_after",
        "verifier_cache",
        "identity",
        "epoch",
        "password_epoch",
    ],
};

impl Table {
    /// Returns the columns in the order of a row's cells.
    pub fn columns(&self) -> impl Iterator<Item = &'static str> {
        self.texts.iter().chain(self.numbers).copied()
    }

    pub(super) fn column_list(&self) -> String {
        self.columns().collect::<Vec<_>>().join(", ")
    }

    /// Returns the cells of the primary key.
    pub fn key_of(&self, row: &Cells) -> Cells {
        let find = |key: &&str| {
            self.columns()
                .position(|c| c == *key)
                .and_then(|at| row.get(at))
                .cloned()
        };
        self.key.iter().filter_map(find).collect()
    }
}
