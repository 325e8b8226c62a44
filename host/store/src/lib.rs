//! Where offsets last: the embedded file, and memory for tests.
