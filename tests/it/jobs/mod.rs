//! What happens on the schedule: the scenarios of the key design, by number.

mod keys;
mod prune;
