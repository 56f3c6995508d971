//! Numbers as a language writes them, and the plural category that a number takes in it, both by
//! the data of Unicode (CLDR). Nothing is kept: making the rules of a language costs microseconds.

use icu_decimal::DecimalFormatter;
use icu_decimal::input::Decimal;
use icu_locale_core::Locale;
use icu_plurals::{PluralCategory, PluralRules};

/// The category that every language has.
pub const OTHER: &str = "other";

/// The names of all categories, which end the keys of texts that hold a number.
pub const CATEGORIES: [&str; 6] = ["zero", "one", "two", "few", "many", OTHER];

/// Returns the name of the plural category of a number in a language (BCP 47); `other` if the
/// language is unknown.
pub fn category(language: &str, number: u64) -> &'static str {
    let Some(rules) =
        locale(language).and_then(|locale| PluralRules::try_new_cardinal(locale.into()).ok())
    else {
        return OTHER;
    };
    match rules.category_for(number) {
        PluralCategory::Zero => "zero",
        PluralCategory::One => "one",
        PluralCategory::Two => "two",
        PluralCategory::Few => "few",
        PluralCategory::Many => "many",
        PluralCategory::Other => OTHER,
    }
}

/// Returns a number with the separators of a language; its digits alone if the language is unknown.
pub fn grouped(language: &str, number: u64) -> String {
    let formatter = locale(language).and_then(|locale| {
        DecimalFormatter::try_new(
            locale.into(),
            icu_decimal::options::DecimalFormatterOptions::default(),
        )
        .ok()
    });
    formatter.map_or_else(
        || number.to_string(),
        |formatter| formatter.format(&Decimal::from(number)).to_string(),
    )
}

fn locale(language: &str) -> Option<Locale> {
    Locale::try_from_str(language).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_written_as_the_language_writes_it() {
        for (language, number, text) in [
            ("en", 3_412, "3,412"),
            ("de", 3_412, "3.412"),
            ("es", 3_412, "3412"),
            ("es", 34_120, "34.120"),
            ("en", 7, "7"),
            ("not a language", 3_412, "3412"),
        ] {
            assert_eq!(grouped(language, number), text, "{language}");
        }
    }

    #[test]
    fn a_number_takes_the_category_of_its_language() {
        for (language, number, name) in [
            ("en", 1, "one"),
            ("en", 0, "other"),
            ("de", 1, "one"),
            ("es", 1_000_000, "many"),
            ("pl", 3, "few"),
            ("ar", 0, "zero"),
            ("ar", 2, "two"),
            ("ja", 1, "other"),
            ("not a language", 1, "other"),
        ] {
            assert_eq!(category(language, number), name, "{language} {number}");
            assert!(CATEGORIES.contains(&name));
        }
    }
}
