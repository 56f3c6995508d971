//! What the start-up checklist tells of a running process besides its settings.

use crate::app::App;
use crate::flows::confirm_clock;

/// What only a process with an open database knows.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The public id of the first master key that was loaded.
    pub master_key: Option<String>,
    /// How the clock agrees with other clocks; `Err` with the doubt.
    pub clock: Option<std::result::Result<String, String>>,
    /// Whether this start has created the database.
    pub is_new: bool,
}

impl Facts {
    /// Collects the facts of a process whose database is open.
    pub async fn of(app: &App, is_new: bool) -> Self {
        Self {
            master_key: app.loaded_keys.first().map(|key| key.id().to_owned()),
            clock: Some(clock_of(app).await),
            is_new,
        }
    }
}

async fn clock_of(app: &App) -> std::result::Result<String, String> {
    let look = confirm_clock::look(app).await.map_err(|e| e.to_string())?;
    let apart = look.evidence.database.map(|theirs| {
        format!(
            "{} ms from the database's",
            (look.now.0 - theirs.0).unsigned_abs()
        )
    });
    match look.outcome {
        Ok(_) => Ok(apart.unwrap_or_else(|| "near the last confirmed time".into())),
        Err(doubt) => Err(format!(
            "{doubt}; nothing is deleted, rotated or given up until then"
        )),
    }
}
