//! What users see of an error, code by code: a folder of `diagnostics/` is called by a code and holds files, the command lines that
//! are run beside them (`args`, the last of them is looked at; `validate pipeline.toml` where there is none), and what is then said.
//! `WEIR_ACCEPT=1 cargo test` writes the answers anew. Findings of the configuration alone have theirs in `host/config/tests/cases`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // helpers of tests are tests

mod support;

use std::path::{Path, PathBuf};
use support::Place;

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diagnostics");
    let mut all: Vec<_> = std::fs::read_dir(root).unwrap().map(|f| f.unwrap().path()).collect();
    all.sort();
    all
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => {
                std::fs::create_dir(&to).unwrap();
                copy(&entry.path(), &to)
            }
            false => drop(std::fs::copy(entry.path(), &to).unwrap()),
        }
    }
}

/// What the last command line says, and its exit code.
fn answer(folder: &Path) -> String {
    let place = Place::new();
    copy(folder, place.dir.path());
    std::fs::remove_file(place.path("expected.txt")).ok();
    let lines = std::fs::read_to_string(folder.join("args")).unwrap_or("validate pipeline.toml".into());
    let mut said = String::new();
    for line in lines.lines() {
        let args: Vec<&str> = line.split_whitespace().chain(["--log", "off"]).collect();
        let out = place.weir(&args);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&place.dir.path().display().to_string(), "…");
        said = format!("$ weir {line}\n{}{}", text(&out.stdout), text(&out.stderr));
        said.push_str(&format!("exit code {}\n", out.status.code().unwrap_or(-1)));
    }
    said
}

#[test]
fn errors_are_said_as_they_were() {
    let accept = std::env::var_os("WEIR_ACCEPT").is_some();
    let folders = folders();
    assert!(folders.len() >= 20);
    let mut wrong = vec![];
    for folder in folders {
        let got = answer(&folder);
        let code = folder.file_name().unwrap().to_string_lossy().into_owned();
        if !got.contains(&code) {
            wrong.push(format!("{code} is not said:\n{got}"));
            continue;
        }
        let expected = folder.join("expected.txt");
        if accept {
            std::fs::write(&expected, &got).unwrap();
        }
        let want = std::fs::read_to_string(&expected).unwrap_or_default();
        if got != want {
            let diff = similar::TextDiff::from_lines(&want, &got).unified_diff().context_radius(3).to_string();
            wrong.push(format!("{code}\n{diff}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
