//! The parameters that demand a strength or an age of a sign-in (RFC 9470): `acrValues` and `maxAge` of
//! a body, `acr_values` and `max_age` of a page.

use std::time::Duration;

use super::fields::Fields;
use super::query::Query;
use super::unchecked::Unchecked;
use crate::model::kernel::period::Period;
use crate::model::login::policy::Demand;

/// Longer than any list of values that this service has.
const MAX_ACR_VALUES: usize = 1_024;

/// A proof is this old when the request that needs it arrives: a smaller age could never be met.
const SHORTEST: Duration = Duration::from_secs(2);

const UNKNOWN: &str = "has no value that this service supports; discovery lists them";

const NO_AGE: &str = "expected a number of seconds";

/// Reads both members from a body.
pub(in crate::http) fn in_body(body: &mut Fields) -> Unchecked<Demand> {
    let values = body.optional_text("acrValues", MAX_ACR_VALUES).or_default();
    let level = body.check("acrValues", values, UNKNOWN, |text| {
        Demand::of_acr_values(&text)
    });
    let age = body.seconds("maxAge");
    joined(level, age)
}

/// Reads both parameters from the query of a page.
pub(in crate::http) fn in_query(query: &mut Query) -> Unchecked<Demand> {
    let level = query.parsed("acr_values", UNKNOWN, |text| {
        Demand::of_acr_values(text).filter(|_| text.len() <= MAX_ACR_VALUES)
    });
    let age = query.parsed("max_age", NO_AGE, seconds);
    joined(level.or_default(), age)
}

/// Reads both parameters as a page writes them into its own form.
pub(in crate::http) fn in_form(body: &mut Fields) -> Unchecked<Demand> {
    let values = body
        .optional_text("acr_values", MAX_ACR_VALUES)
        .or_default();
    let level = body.check("acr_values", values, UNKNOWN, |text| {
        Demand::of_acr_values(&text)
    });
    let age = body.optional_text("max_age", MAX_ACR_VALUES).or_default();
    let age = body.check("max_age", age, NO_AGE, |text| {
        if text.is_empty() {
            Some(None)
        } else {
            seconds(&text).map(Some)
        }
    });
    joined(level, age)
}

fn seconds(text: &str) -> Option<u64> {
    let seconds = text.parse().ok();
    seconds.filter(|seconds| *seconds <= Period::LONGEST.as_secs())
}

fn joined(level: Unchecked<Demand>, age: Unchecked<Option<u64>>) -> Unchecked<Demand> {
    level.zip(age).map(|(demand, age)| Demand {
        max_age: age.map(|age| Duration::from_secs(age).max(SHORTEST)),
        ..demand
    })
}

/// Returns the query of a page that makes the demand: pairs with `&` between them, empty if nothing is
/// demanded.
pub(in crate::http) fn to_query(demand: Demand) -> String {
    let mut pairs = url::form_urlencoded::Serializer::new(String::new());
    if let Some(level) = demand.level {
        pairs.append_pair("acr_values", level.acr());
    }
    if let Some(age) = demand.max_age {
        pairs.append_pair("max_age", &age.as_secs().to_string());
    }
    pairs.finish()
}

/// Returns the value of `WWW-Authenticate` of an answer that makes the demand (RFC 9470 section 3).
pub(in crate::http) fn challenge(demand: Demand) -> String {
    let mut text = String::from(
        r#"Bearer realm="countersign", error="insufficient_user_authentication", error_description="A stronger or younger proof of the user is required""#,
    );
    if let Some(level) = demand.level {
        text.extend([r#", acr_values=""#, level.acr(), "\""]);
    }
    if let Some(age) = demand.max_age {
        text.extend([r#", max_age=""#, &age.as_secs().to_string(), "\""]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::login::level::Level;

    #[test]
    fn a_demand_is_written_as_a_query_and_as_a_challenge() {
        let demand = Demand {
            level: Some(Level::Two),
            max_age: Some(Duration::from_secs(300)),
        };
        let query = "acr_values=urn%3Acountersign%3Aacr%3A2fa&max_age=300";
        assert_eq!(to_query(demand), query);
        assert_eq!(to_query(Demand::default()), "");
        assert!(
            challenge(demand).ends_with(r#", acr_values="urn:countersign:acr:2fa", max_age="300""#)
        );
        assert!(!challenge(Demand::default()).contains("max_age"));
        for text in ["", "-1", "1.5", "x", "99999999999999999999"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
