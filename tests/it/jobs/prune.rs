//! Old sessions go, in time and not before.

use countersign::flows::prune::prune;

use crate::support::{TestApp, minutes};

#[tokio::test]
async fn a_session_is_deleted_seven_days_after_its_absolute_end() {
    let app = TestApp::start().await;
    let ana = app.user("ana").await;
    let tokens = ana.sign_in().await;
    let day = minutes(60 * 24);
    app.after(day * 97);
    assert_eq!(prune(&app.app).await.unwrap(), 0);
    app.refresh(&tokens.refresh).await.refused(401, "REFRESH_TOKEN_EXPIRED");
    app.after(minutes(1));
    assert_eq!(prune(&app.app).await.unwrap(), 2);
    app.refresh(&tokens.refresh).await.refused(401, "REFRESH_TOKEN_INVALID");
    assert_eq!(app.db_number("SELECT COUNT(*) FROM users").await, 1);
}
