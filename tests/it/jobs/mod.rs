//! What happens on the schedule: the scenarios of the key design, by number.

mod clock;
mod keys;
mod prune;
mod ring;
mod secrets;
mod slots;
mod stored_times;
