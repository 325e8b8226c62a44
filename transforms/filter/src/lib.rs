//! Keeps the records for which a condition holds.
