//! The arguments by which a command prints one page of a list, or all of it.

use clap::Args;
use serde_json::{Value, json};

/// A page of a list whose pages have numbers.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Numbered {
    /// The number of entries in a page
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// The number of the page
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    page: u32,
    /// Print every entry
    #[arg(long, conflicts_with_all = ["limit", "page"])]
    all: bool,
}

impl Numbered {
    /// Returns the greatest number of entries to print.
    pub(super) fn limit(self) -> i64 {
        if self.all {
            i64::MAX
        } else {
            self.limit.into()
        }
    }

    /// Returns the number of entries to skip.
    pub(super) fn offset(self) -> i64 {
        if self.all {
            0
        } else {
            i64::from(self.page - 1) * i64::from(self.limit)
        }
    }

    /// Returns the number of the next page; null if this is the last one of a list of this length.
    pub(super) fn next(self, total: u64) -> Value {
        let seen = u64::from(self.page) * u64::from(self.limit);
        if self.all || seen >= total {
            Value::Null
        } else {
            json!(u64::from(self.page) + 1)
        }
    }
}

/// A page of a list that grows at its beginning, so that pages begin after an entry.
#[derive(Debug, Clone, Args)]
pub(super) struct Continued {
    /// The number of entries in a page
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// The page to print: `next` of the page before it
    #[arg(long, value_name = "NEXT")]
    pub(super) page: Option<String>,
    /// Print every entry
    #[arg(long, conflicts_with_all = ["limit", "page"])]
    pub(super) all: bool,
}

impl Continued {
    /// Returns the greatest number of entries to print.
    pub(super) fn limit(&self) -> usize {
        if self.all {
            usize::MAX
        } else {
            usize::try_from(self.limit).unwrap_or(usize::MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_until_the_list_ends() {
        let page = |limit, page| Numbered {
            limit,
            page,
            all: false,
        };
        assert_eq!((page(100, 1).limit(), page(100, 1).offset()), (100, 0));
        assert_eq!(page(100, 3).offset(), 200);
        for (limit, number, total, next) in [
            (100, 1, 300_001, json!(2)),
            (100, 1, 100, json!(null)),
            (100, 1, 101, json!(2)),
            (100, 2, 101, json!(null)),
            (100, 1, 0, json!(null)),
        ] {
            assert_eq!(page(limit, number).next(total), next, "{number} of {total}");
        }
        let all = Numbered {
            all: true,
            ..page(100, 1)
        };
        assert_eq!((all.limit(), all.offset()), (i64::MAX, 0));
        assert_eq!(all.next(300_001), json!(null));
    }
}
