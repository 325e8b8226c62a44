//! What the user wrote (TOML, Connect JSON, properties) into settings and findings.
