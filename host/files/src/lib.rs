//! Standard output, files and nowhere as sinks.
