//! How to connect.

use weir_api::{Importance, Key, KeyType};

const CONNECTION: &str = "connection";

pub const WORKING: &[Key] = &[
    Key::new("url", KeyType::Password, "postgres://user:password@host:port/database, in place of the five keys below; with the servers of a cluster as host1:port1,host2:port2.")
        .group(CONNECTION)
        .unlisted(),
    Key::new("database.hostname", KeyType::String, "Host, or the directory of a unix socket; or those of a cluster, as \"db1,db2:5433\", of which the first that may be written to is taken.")
        .group(CONNECTION)
        .importance(Importance::High),
    Key::new("database.port", KeyType::Int, "Port.").default("5432").group(CONNECTION),
    Key::new("database.user", KeyType::String, "A role with REPLICATION and SELECT on the tables.")
        .group(CONNECTION)
        .importance(Importance::High),
    Key::new("database.password", KeyType::Password, "The role's password.").group(CONNECTION),
    Key::new("database.dbname", KeyType::String, "The database to capture.")
        .group(CONNECTION)
        .importance(Importance::High),
    Key::new("database.sslmode", KeyType::String, "Whether TLS is used, and what of the certificate is checked.")
        .default("prefer")
        .one_of(&["disable", "allow", "prefer", "require", "verify-ca", "verify-full"])
        .group(CONNECTION),
    Key::new("database.sslrootcert", KeyType::String, "PEM file of trusted authorities.").group(CONNECTION),
    Key::new("database.sslcert", KeyType::String, "The client's certificate.").group(CONNECTION),
    Key::new("database.sslkey", KeyType::String, "The client's key.").group(CONNECTION),
    Key::new("database.tcpKeepAlive", KeyType::Boolean, "Lets the kernel find dead peers.")
        .default("true")
        .group(CONNECTION),
    Key::new(
        "database.initial.statements",
        KeyType::String,
        "SQL that each session begins with, parted by `;`; `;;` is one.",
    )
    .group(CONNECTION),
];

pub const OTHERS: &[Key] = rows! { CONNECTION:
    ignored "database.query.timeout.ms" Int "600000" "How long a query may take."
        => "queries are waited for";
    ignored "connection.validation.timeout.ms" Long "60000" "How long the test of the connection may take."
        => "connecting takes at most ten seconds an address";
    ignored "retriable.restart.connector.wait.ms" Long "10000" "The pause before a restart."
        => "what may heal is tried again with growing pauses, see `errors.retry.delay.max.ms`";
    ignored "executor.shutdown.timeout.ms" Long "4000" "How long threads may take to end."
        => "a stop delivers what is under way first";
    refused "errors.max.retries" Int "-1" "How often an error is retried."
        => "set `errors.retry.timeout`, a time, instead";
    refused "database.sslpassword" Password - "The password of the client's key."
        => "a key without one: openssl pkcs8 -in KEY -out PLAIN -nocrypt";
    refused "database.sslfactory" Class - "A Java class that makes TLS sockets."
        => "`database.sslmode`, `database.sslrootcert`, `database.sslcert` and `database.sslkey`";
    refused "connection.factory.class" Class - "A Java class that connects."
        => "`database.user` with `database.password` or a client's certificate";
};
