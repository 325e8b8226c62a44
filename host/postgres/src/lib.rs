//! Captures PostgreSQL: replication protocol, slot and publication, type table, snapshot.
