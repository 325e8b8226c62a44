//! Makes rows of change events.
