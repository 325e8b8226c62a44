//! Real services for tests: from a URL, or local programs on free ports in temporary directories; and guests, as users build them.

pub mod connect;
pub mod guest;
pub mod kafka;
pub mod maven;
pub mod postgres;
pub mod process;
pub mod release;

pub use kafka::Kafka;
pub use postgres::Postgres;
