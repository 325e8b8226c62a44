//! Who we are and whom we trust: logins of SASL, certificates and keys of TLS.

use super::Translation;
use crate::jaas::Login;
use crate::keystore::{Format, Store, pem_store};

// === impl Translation ===

impl Translation<'_> {
    pub(super) fn sasl(&mut self) {
        let protocol = self.get("security.protocol").unwrap_or("PLAINTEXT").to_uppercase();
        if self.get("security.protocol").is_some() {
            self.put("security.protocol", protocol.to_lowercase());
        }
        if !protocol.starts_with("SASL") {
            return;
        }
        let mechanism = self.get("sasl.mechanism").unwrap_or("GSSAPI").to_uppercase();
        let module = match &*mechanism {
            "PLAIN" => "PlainLoginModule",
            "SCRAM-SHA-256" | "SCRAM-SHA-512" => "ScramLoginModule",
            other => {
                let text = format!("`sasl.mechanism` = {other} is not in this build");
                let help =
                    "use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, or a client certificate (`ssl.keystore.location`)";
                return self.refuse("sasl.mechanism", text, help);
            }
        };
        self.put("sasl.mechanism", mechanism);
        let help = format!("`org.apache.kafka.common.security.….{module} required username=\"…\" password=\"…\";`");
        let Some(text) = self.get("sasl.jaas.config") else {
            return self.refuse("sasl.jaas.config", "`sasl.jaas.config` must hold the user and the password", &help);
        };
        let login = match Login::parse(text) {
            Ok(login) => login,
            Err(why) => {
                return self.refuse("sasl.jaas.config", format!("`sasl.jaas.config` cannot be read: {why}"), &help);
            }
        };
        if !login.module.ends_with(module) {
            return self.refuse(
                "sasl.jaas.config",
                "the login module of `sasl.jaas.config` is of another mechanism",
                &help,
            );
        }
        if login.option("tokenauth").is_some_and(|v| v.eq_ignore_ascii_case("true")) {
            return self.refuse(
                "sasl.jaas.config",
                "delegation tokens are not supported",
                "log in by user and password",
            );
        }
        match (login.option("username"), login.option("password")) {
            (Some(user), Some(password)) => {
                self.put("sasl.username", user);
                self.put("sasl.password", password);
            }
            _ => self.refuse("sasl.jaas.config", "`sasl.jaas.config` lacks username or password", &help),
        }
    }

    pub(super) fn trust(&mut self) {
        if let Some(algorithm) = self.settings.values.get("ssl.endpoint.identification.algorithm") {
            let algorithm = algorithm.trim();
            if !matches!(&*algorithm.to_lowercase(), "" | "https") {
                let text = "`ssl.endpoint.identification.algorithm` takes https, or nothing";
                return self.refuse("ssl.endpoint.identification.algorithm", text, "remove the setting");
            }
            self.put("ssl.endpoint.identification.algorithm", if algorithm.is_empty() { "none" } else { "https" });
        }
        let store = match self.get("ssl.truststore.certificates") {
            Some(text) => pem_store(text),
            None => match self.store("ssl.truststore") {
                Some(store) => store,
                None => return,
            },
        };
        if store.trusted.is_empty() {
            let key = if self.get("ssl.truststore.certificates").is_some() { "certificates" } else { "location" };
            let help = "put the authority's certificate there: `keytool -importcert -file ca.pem -keystore …`";
            return self.refuse(
                &format!("ssl.truststore.{key}"),
                "the trust store holds no certificate of an authority",
                help,
            );
        }
        self.put("ssl.ca.pem", store.trusted);
    }

    pub(super) fn identity(&mut self) {
        let store = match (self.get("ssl.keystore.key"), self.get("ssl.keystore.certificate.chain")) {
            (Some(key), Some(chain)) => {
                Store { key: pem_store(key).key, chain: pem_store(chain).chain, ..Store::default() }
            }
            (None, None) => match self.store("ssl.keystore") {
                Some(store) => store,
                None => return,
            },
            _ => {
                let text = "`ssl.keystore.key` and `ssl.keystore.certificate.chain` are set together";
                return self.refuse("ssl.keystore.key", text, "set both, or `ssl.keystore.location`");
            }
        };
        if store.key.is_empty() || store.chain.is_empty() {
            let key = if self.get("ssl.keystore.key").is_some() { "ssl.keystore.key" } else { "ssl.keystore.location" };
            return self.refuse(
                key,
                "the key store holds no key with its certificate",
                "PEM takes a PKCS#8 key: `openssl pkcs8 -topk8`",
            );
        }
        if store.key.contains("ENCRYPTED") {
            match self.get("ssl.key.password") {
                Some(password) => self.put("ssl.key.password", password),
                None => {
                    return self.refuse("ssl.key.password", "the client's key is encrypted", "set `ssl.key.password`");
                }
            }
        }
        self.put("ssl.certificate.pem", store.chain);
        self.put("ssl.key.pem", store.key);
    }

    /// The store that `<prefix>.location` names, if it does and can be read.
    fn store(&mut self, prefix: &str) -> Option<Store> {
        let key = format!("{prefix}.location");
        let path = self.get(&key)?;
        let format = match self.get(&format!("{prefix}.type")).unwrap_or("JKS").to_uppercase().as_str() {
            "PEM" => Format::Pem,
            "PKCS12" => Format::Pkcs12,
            _ => Format::Jks,
        };
        let password = self.get(&format!("{prefix}.password")).unwrap_or_default();
        let key_password = self.get("ssl.key.password").filter(|_| prefix == "ssl.keystore");
        let read = std::fs::read(path).map_err(|e| e.to_string());
        match read.and_then(|bytes| Store::read(&bytes, format, password, key_password).map_err(str::to_owned)) {
            Ok(store) => Some(store),
            Err(why) => {
                let help = format!("check the path, `{prefix}.type` and `{prefix}.password`");
                self.refuse(&key, format!("cannot read {path}: {why}"), &help);
                None
            }
        }
    }
}
