//! `users imports` and `users rollback`: what imports did, and taking one back.

use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::members;
use crate::app::App;
use crate::cli::output::List;
use crate::cli::table::{id, name, text, time};
use crate::cli::{Caution, Output, Result, operator, output};
use crate::flows::import::rollback::TakenBack;
use crate::flows::import::{list, rollback};
use crate::flows::permit::Permitted;
use crate::model::import::batch::{Batch, DoneRow};

/// Runs the command `users imports`.
pub(in crate::cli::users) async fn show(
    app: &App,
    batch: Option<&str>,
    form: Output,
) -> Result<()> {
    let permitted = Permitted::as_operator();
    let Some(batch) = batch else {
        let batches = list::batches(app, permitted).await?;
        let columns = [
            id("id"),
            text("source"),
            name("state"),
            text("created"),
            text("linked"),
            text("refused"),
            time("startedAt"),
        ];
        let items = batches.iter().map(shown).collect();
        output::list(form, &List::whole("imports", &columns, items));
        return Ok(());
    };
    let batch = list::find(app, permitted, batch).await?;
    let mut rows = Vec::new();
    list::rows(app, permitted, &batch, |row| {
        // Those that were created without a remark are what was expected.
        if row.verdict != "create" || !row.reason.is_empty() {
            rows.push(shown_row(&row));
        }
    })
    .await?;
    let foreign = list::on_foreign_hashes(app, permitted, &batch).await?;
    if form == Output::Json {
        let mut whole = shown(&batch);
        whole["onForeignHashes"] = json!(foreign);
        whole["rows"] = Value::Array(rows);
        let members: Vec<_> = output::objects(vec![whole]);
        for members in members {
            let members: Vec<(&str, Value)> = members
                .iter()
                .map(|(name, value)| (name.as_str(), value.clone()))
                .collect();
            output::object(form, &members);
        }
        return Ok(());
    }
    let mut described = members(Some(&batch), batch.counts);
    described.push(("onForeignHashes", json!(foreign)));
    output::object(form, &described);
    let columns = [text("line"), name("verdict"), text("reason"), id("user")];
    output::list(form, &List::whole("rows with a remark", &columns, rows));
    Ok(())
}

fn shown(batch: &Batch) -> Value {
    let mut all = members(Some(batch), batch.counts);
    all.extend([
        ("cursor", json!(batch.cursor)),
        ("actor", json!(batch.actor)),
        ("startedAt", json!(batch.started_at)),
        ("endedAt", json!(batch.ended_at)),
    ]);
    output::together(&all)
}

fn shown_row(row: &DoneRow) -> Value {
    json!({ "line": row.line, "verdict": row.verdict, "reason": row.reason, "user": row.user })
}

/// Runs the command `users rollback`.
pub(in crate::cli::users) async fn roll_back(
    app: &App,
    batch: &str,
    caution: Caution,
) -> Result<()> {
    let form = caution.trial.output;
    let permitted = Permitted::as_operator();
    let batch = rollback::find(app, permitted, batch).await?;
    let planned = rollback::foresee(app, permitted, &batch).await?;
    if caution.trial.dry_run {
        let text = format!(
            "{} users would be deleted, {} links removed; {} users would stay.",
            planned.deleted,
            planned.unlinked,
            planned.kept.len()
        );
        output::planned(&app.config, form, &text, &taken_back(&batch, &planned));
        return Ok(());
    }
    let question = format!(
        "Delete {} users of the import {} and remove {} links?",
        planned.deleted, batch.id, planned.unlinked
    );
    caution.confirm(app, &question)?;
    let bar = ProgressBar::new(batch.counts.created + batch.counts.linked);
    let operator = operator();
    let done = rollback::take_back(app, permitted, &batch, &operator, |rows| bar.inc(rows));
    let done = Box::pin(done).await;
    bar.finish_and_clear();
    let done = done?;
    let text = format!(
        "{} users are deleted, {} links removed; {} users stay, because they have been here since.",
        done.deleted,
        done.unlinked,
        done.kept.len()
    );
    output::changed(&app.config, form, &text, &taken_back(&batch, &done));
    if form != Output::Json {
        for user in &done.kept {
            output::line(&user.to_string());
        }
    }
    Ok(())
}

fn taken_back(batch: &Batch, done: &TakenBack) -> Vec<(&'static str, Value)> {
    vec![
        ("id", json!(batch.id)),
        ("source", json!(batch.source)),
        ("deleted", json!(done.deleted)),
        ("unlinked", json!(done.unlinked)),
        ("kept", json!(done.kept)),
    ]
}
