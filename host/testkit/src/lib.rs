//! Real services for tests: from a URL, or local programs on free ports in temporary directories.
