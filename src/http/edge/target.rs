//! The parameters that ask for an audience: `resource` (RFC 8707), which may stand several times, and
//! `audience` (RFC 8693). What they mean is decided by `model::token::target`, so that everything
//! that is not available gets one answer.

use super::fields::Fields;
use super::limits::MAX_AUDIENCE;
use super::query::Query;
use super::unchecked::Unchecked;
use crate::model::token::target::Requested;

/// The name of the parameter of RFC 8707.
pub(in crate::http) const RESOURCE: &str = "resource";
/// The name of the parameter of RFC 8693.
pub(in crate::http) const AUDIENCE: &str = "audience";

/// Reads both parameters from a body, each a text or a list of texts.
pub(in crate::http) fn in_body(body: &mut Fields) -> Unchecked<Requested> {
    let resources = body.texts(RESOURCE, MAX_AUDIENCE);
    joined(resources, body.texts(AUDIENCE, MAX_AUDIENCE))
}

/// Reads both parameters from a query.
pub(in crate::http) fn in_query(query: &mut Query) -> Unchecked<Requested> {
    let resources = query.texts(RESOURCE, MAX_AUDIENCE);
    joined(resources, query.texts(AUDIENCE, MAX_AUDIENCE))
}

fn joined(
    resources: Unchecked<Vec<String>>,
    audiences: Unchecked<Vec<String>>,
) -> Unchecked<Requested> {
    let both = resources.zip(audiences);
    both.map(|(resources, audiences)| Requested {
        resources,
        audiences,
    })
}
