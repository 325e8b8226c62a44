//! A snapshot's progress at a terminal: a bar, with the log's lines above it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // helpers of tests are tests

#[path = "support/pipeline.rs"]
mod pipeline;
mod support;

use pipeline::Pipeline;
use std::process::{Command, Stdio};
use weir_testkit::Postgres;

#[test]
fn a_bar_stands_below_the_log() {
    let pipeline = Pipeline::new(Postgres::shared().expect("PostgreSQL"));
    pipeline.sql("INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(2, 400000) g; ANALYZE t");
    pipeline.write("snapshot.mode = \"initial_only\"", "");
    // a terminal of its own
    let weir = format!("'{}' --data-dir data run e.toml", env!("CARGO_BIN_EXE_weir"));
    let mut command = Command::new("script");
    command.args(["-qec", &weir, "/dev/null"]).current_dir(pipeline.place.dir.path()).stdin(Stdio::null());
    let out = command.env("TERM", "xterm").env("NO_COLOR", "1").output().expect("script of util-linux");
    let said = String::from_utf8_lossy(&out.stdout);
    println!("{said}");
    assert!(out.status.success(), "{said}");
    assert!(said.contains("%") && said.contains(" of ~400,000 rows"), "no bar: {said}");
    let logged = said.split('\n').find(|l| l.contains("the snapshot is complete")).expect("a line of the log");
    let line = logged.rsplit("\x1b[2K").next().unwrap_or_default();
    assert!(line.trim_start_matches(['\r', '\x1b']).starts_with("20"), "the bar is in it: {logged:?}");
}
