//! A pipeline from a database of one table into a file, and how it ends.
#![allow(dead_code)] // each test uses its part

use crate::support::{Place, Weir, read, wait_for};
use serde_json::Value as Json;
use std::time::Duration;
use weir_testkit::Postgres;

pub const LIMIT: Duration = Duration::from_secs(60);

/// A pipeline from one database into a file.
pub struct Pipeline<'a> {
    pub server: &'a Postgres,
    pub database: String,
    pub place: Place,
    pub name: String,
    pub user: String,
    pub password: String,
}

/// How a run ended.
pub struct Ended {
    pub exit: Option<i32>,
    pub code: String,
    pub message: String,
    pub help: String,
}

impl Ended {
    #[track_caller]
    pub fn is(&self, exit: i32, code: &str) {
        assert_eq!((self.exit, self.code.as_str()), (Some(exit), code), "{}: {}", self.message, self.help);
    }
}

impl<'a> Pipeline<'a> {
    /// A database with a table of one row; slot and publication have the database's name.
    pub fn new(server: &'a Postgres) -> Self {
        let database = server.database().expect("a database");
        server
            .sql_in(&database, "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a')")
            .expect("a table");
        let (user, password) = (server.user().to_owned(), server.password().unwrap_or_default().to_owned());
        Pipeline { server, name: database.clone(), database, place: Place::new(), user, password }
    }

    /// The same as a role that has just been made with these attributes.
    pub fn with_role(server: &'a Postgres, attributes: &str) -> Self {
        let pipeline = Pipeline::new(server);
        let user = format!("role_{}", pipeline.name);
        pipeline.sql(&format!("CREATE ROLE {user} LOGIN {attributes} PASSWORD 'role-secret'"));
        Pipeline { user, password: "role-secret".into(), ..pipeline }
    }

    pub fn sql(&self, sql: &str) {
        self.server.sql_in(&self.database, sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
    }

    pub fn write(&self, more: &str, retry: &str) {
        let (host, port) = (self.server.host(), self.server.port());
        let text = format!(
            "name = \"{name}\"\n[source.postgres]\ndatabase.hostname = \"{host}\"\ndatabase.port = {port}\n\
             database.user = \"{user}\"\ndatabase.password = \"{password}\"\ndatabase.dbname = \"{database}\"\n\
             topic.prefix = \"e\"\nslot.name = \"{name}\"\npublication.name = \"{name}\"\n{more}\n\
             [sink.file]\npath = \"out.json\"\n[errors]\n{retry}\n",
            name = self.name,
            user = self.user,
            password = self.password,
            database = self.database,
        );
        self.place.write("e.toml", &text);
    }

    /// `weir run` to its end, which comes at the first error.
    pub fn run(&self, more: &str) -> Ended {
        self.write(more, "retry.timeout = \"0s\"");
        let out = self.place.weir(&["run", "e.toml", "--json"]);
        let said: Json = serde_json::from_slice(&out.stdout).expect("an envelope");
        let error = &said["error"]["pipelines"][0]["error"];
        let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
        let all = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert!(self.password.is_empty() || !all.contains(&self.password), "the password is shown: {all}");
        Ended { exit: out.status.code(), code: text("code"), message: text("message"), help: text("help") }
    }

    /// Once mended, the snapshot is read to its end.
    #[track_caller]
    pub fn works(&self, more: &str) {
        let ended = self.run(&format!("snapshot.mode = \"initial_only\"\n{more}"));
        assert_eq!(ended.exit, Some(0), "{}: {} ({})", ended.code, ended.message, ended.help);
        assert_eq!(self.ids(), [1]);
    }

    /// Runs until it is stopped; errors that may heal are retried.
    pub fn start(&self, more: &str) -> Weir {
        self.write(more, "retry.delay.max = \"200ms\"");
        self.place.start("e.toml")
    }

    /// Keys of the records that came, in order, each once.
    pub fn ids(&self) -> Vec<i64> {
        let mut ids = vec![];
        for line in read(&self.place.path("out.json")).lines() {
            let Ok(record) = serde_json::from_str::<Json>(line) else { continue };
            let id =
                record["value"]["after"]["id"].as_i64().or_else(|| record["value"]["payload"]["after"]["id"].as_i64());
            ids.extend(id.filter(|id| !ids.contains(id)));
        }
        ids
    }

    pub fn wait_for_ids(&self, expected: &[i64]) {
        wait_for(&format!("records {expected:?}"), LIMIT, || (self.ids() == expected).then_some(()));
    }
}
