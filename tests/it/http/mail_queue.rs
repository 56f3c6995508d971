//! The queue of mails as an operator sees it, and sending all of it now.

use countersign::flows::mail::queued_mails::{flush, list};
use countersign::flows::permit::Permitted;
use countersign::model::audit::event::Requester;
use serde_json::json;

use crate::support::minutes;

use super::mail::{posting, received};

#[tokio::test]
async fn a_mail_that_waits_for_its_next_attempt_is_listed_and_sent_after_a_flush() {
    let (app, dir) = posting(&[]).await;
    let operator = Requester::default();
    let ana = app.user("ana").await;
    received(&app, dir.path()).await;
    let (nothing, total) = list(&app.app, Permitted::as_operator(), 10).await.unwrap();
    assert!(nothing.is_empty() && total == 0);
    let session = ana.sign_in().await.session;
    for _ in 0..2 {
        app.post_as("/api/auth/delete-user", &session, &json!({}))
            .await
            .ok();
        app.after(minutes(1));
    }
    // As after three attempts that the mail server did not accept.
    app.db_execute("UPDATE mails SET attempts = 3, due_at = due_at + 1800000")
        .await
        .unwrap();
    let (queued, total) = list(&app.app, Permitted::as_operator(), 1).await.unwrap();
    assert_eq!((queued.len(), total), (1, 2), "a page of the queue");
    let (queued, _) = list(&app.app, Permitted::as_operator(), 10).await.unwrap();
    let oldest = &queued[0];
    assert_eq!(
        (oldest.template.as_str(), oldest.attempts),
        ("delete_user", 3)
    );
    assert_eq!(oldest.recipient.as_ref().unwrap().as_str(), ana.email);
    assert!(oldest.created_at < queued[1].created_at && oldest.due_at > app.app.now());
    assert!(received(&app, dir.path()).await.is_empty(), "not yet due");
    let flushed = flush(&app.app, Permitted::as_operator(), &operator).await;
    assert_eq!(flushed.unwrap(), 2);
    // The link in the older one was replaced by the newer one's.
    assert_eq!(received(&app, dir.path()).await.len(), 1);
    let flushed = flush(&app.app, Permitted::as_operator(), &operator).await;
    assert_eq!(flushed.unwrap(), 0, "nothing waits");
}
