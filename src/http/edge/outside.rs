//! Adds and strips the path of the public URL, and moves the pages to their path, in one place for
//! every answer and request, so that no handler and no template has to do it.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::uri::PathAndQuery;
use axum::http::{Uri, header};
use axum::response::Response;
use http_body_util::BodyExt;
use tower::util::MapRequest;

use crate::app::App;
use crate::model::kernel::mount::Mount;

use super::header_text;

/// The attributes of pages that contain links. Hidden fields are sent back unchanged.
const LINKS: [&str; 4] = [" href=\"", " action=\"", " src=\"", " data-strength=\""];

/// Writes redirects and the links of pages as a browser sees them.
pub(in crate::http) async fn outward(mount: &Mount, mut response: Response) -> Response {
    if mount.is_plain() {
        return response;
    }
    let location = response
        .headers()
        .get(header::LOCATION)
        .and_then(|to| to.to_str().ok());
    if let Some(value) = location.map(|to| header_text::value(&mount.outside(to))) {
        response.headers_mut().insert(header::LOCATION, value);
    }
    let is_page = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|media| media.as_bytes().starts_with(b"text/html"));
    if is_page {
        rewritten(mount, response).await
    } else {
        response
    }
}

async fn rewritten(mount: &Mount, response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let bytes = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let page = linked(mount, &String::from_utf8_lossy(&bytes));
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(page))
}

fn linked(mount: &Mount, page: &str) -> String {
    let mut written = String::with_capacity(page.len() + 256);
    let mut rest = page;
    while let Some(at) = LINKS
        .iter()
        .filter_map(|link| rest.find(link).map(|at| at + link.len()))
        .min()
    {
        let (before, after) = rest.split_at(at);
        let (path, behind) = after.split_at(after.find('"').unwrap_or(after.len()));
        written.push_str(before);
        written.push_str(&mount.outside(path));
        rest = behind;
    }
    written.push_str(rest);
    written
}

/// Makes routes that also work if a proxy has not stripped the path, at the path of the pages, and
/// with a slash at the end of the path of a page.
pub(in crate::http) fn inward(app: &Arc<App>, routes: Router) -> Router {
    let mount = Arc::new(app.config.server.mount.clone());
    Router::new().fallback_service(MapRequest::new(routes, move |mut request: Request| {
        if let Some(uri) = taken_off(&mount, request.uri()) {
            *request.uri_mut() = uri;
        }
        request
    }))
}

fn taken_off(mount: &Mount, uri: &Uri) -> Option<Uri> {
    let inside = mount.inside(uri.path());
    if inside == uri.path() {
        return None;
    }
    let mut parts = uri.clone().into_parts();
    let text = uri
        .query()
        .map_or_else(|| inside.to_string(), |query| format!("{inside}?{query}"));
    parts.path_and_query = Some(text.parse::<PathAndQuery>().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_a_page_are_written_as_seen_from_outside_and_nothing_else() {
        let mount = Mount::of(
            &"https://example.com/id".parse().unwrap(),
            "/api/auth",
            "/auth",
        )
        .unwrap();
        let page = r#"<a href="/auth/sign-in?x=1">/auth</a><form action="/auth"><input value="/auth/account"><img src="/auth/assets/logo"><a href="/dash"></a><a href="https://x/auth"></a>"#;
        let wanted = r#"<a href="/id/auth/sign-in?x=1">/auth</a><form action="/id/auth"><input value="/auth/account"><img src="/id/auth/assets/logo"><a href="/dash"></a><a href="https://x/auth"></a>"#;
        assert_eq!(linked(&mount, page), wanted);
    }
}
