//! The contract of every verb: stdout is data, everything else goes to stderr; with `--json` one envelope on stdout.

use crate::args::Common;
use crate::failure::Failure;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;
use weir_api::Error;
use weir_config::report::{self, Style};

/// What a verb has to say when it is done.
#[derive(Default)]
pub struct Done {
    /// one line for people with `--json`; people without it see `text`
    pub summary: String,
    /// for standard output; empty: silence
    pub text: String,
    pub result: Value,
}

/// Logs go to stderr, without colours where nobody sees them.
pub fn log(common: &Common) {
    let filter = tracing_subscriber::EnvFilter::try_new(&common.log);
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let colour = std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()) && std::io::stderr().is_terminal();
    let subscriber =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| crate::progress::Aside).with_ansi(colour);
    // a second subscriber is only possible in tests
    let _ = subscriber.with_target(false).try_init();
}

/// Prints the outcome and turns it into an exit code.
pub fn finish(verb: &str, common: &Common, result: Result<Done, Failure>) -> ExitCode {
    match result {
        Ok(done) if common.json => {
            print(&json!({"command": verb, "ok": true, "summary": done.summary, "result": done.result, "error": null}));
            ExitCode::SUCCESS
        }
        Ok(done) => {
            write(&done.text);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            let done = match &failure {
                Failure::Partly(done, _) => Some(done),
                _ => None,
            };
            if common.json {
                let result = done.map_or(&Value::Null, |d| &d.result);
                print(
                    &json!({"command": verb, "ok": false, "summary": summary(&failure), "result": result, "error": of(&failure)}),
                );
            } else {
                done.into_iter().for_each(|d| write(&d.text));
                eprint!("{}", text(&failure));
            }
            ExitCode::from(failure.exit_code())
        }
    }
}

fn write(text: &str) {
    if !text.is_empty() {
        let mut out = std::io::stdout().lock();
        // a closed pipe is a reader that has seen enough
        let _ = out.write_all(text.as_bytes());
        let _ = out.flush();
    }
}

fn print(value: &Value) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{value}");
}

fn summary(failure: &Failure) -> String {
    match failure {
        Failure::Error(e) | Failure::Partly(_, e) => e.message().to_string(),
        Failure::Findings(all, _) => {
            let errors = all.iter().filter(|f| f.is_error()).count();
            format!("{errors} {}", if errors == 1 { "error" } else { "errors" })
        }
        Failure::Pipelines(all) => all.iter().map(|(name, e)| format!("{name}: {e}")).collect::<Vec<_>>().join("; "),
    }
}

fn of(failure: &Failure) -> Value {
    let error = |e: &Error| json!({"code": e.code(), "message": e.message(), "help": e.hint()});
    match failure {
        Failure::Error(e) | Failure::Partly(_, e) => error(e),
        Failure::Findings(all, texts) => json!({"code": "config.invalid", "findings": report::json(all, texts)}),
        Failure::Pipelines(all) => {
            let list: Vec<_> = all.iter().map(|(name, e)| json!({"pipeline": name, "error": error(e)})).collect();
            json!({"code": "pipeline.failed", "pipelines": list})
        }
    }
}

fn text(failure: &Failure) -> String {
    let error = |name: &str, e: &Error| {
        let place = if name.is_empty() { String::new() } else { format!("{name}: ") };
        let mut out = format!("error[{}]: {place}{}\n", e.code(), e.message());
        if let Some(help) = e.hint() {
            out.push_str(&format!("  help: {help}\n"))
        }
        out.push_str(&more([e.code()]));
        out
    };
    match failure {
        Failure::Error(e) | Failure::Partly(_, e) => error("", e),
        Failure::Findings(all, texts) => {
            report::graphical(all, texts, Style::of_stderr()) + "\n" + &more(all.iter().map(|f| f.code))
        }
        Failure::Pipelines(all) => all.iter().map(|(name, e)| error(name, e)).collect(),
    }
}

/// Where more is said of these codes.
fn more<'a>(codes: impl IntoIterator<Item = &'a str>) -> String {
    // of what `explain` itself does not know, it has no more to say
    let codes: BTreeSet<&str> = codes.into_iter().filter(|code| *code != "explain.unknown").collect();
    if codes.is_empty() {
        return String::new();
    }
    format!("  more: weir explain {}\n", codes.into_iter().collect::<Vec<_>>().join(" "))
}

/// Warnings that stand beside a success.
pub fn warn(findings: &[weir_api::Finding], texts: &weir_config::Texts) {
    if !findings.is_empty() {
        eprint!("{}", report::graphical(findings, texts, Style::of_stderr()))
    }
}

/// Asks whether to go on; nobody at a terminal is a no.
pub fn confirmed() -> Result<bool, Error> {
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    eprint!("go on? [y/N] ");
    let _ = std::io::stderr().flush();
    is_yes(std::io::stdin().lock())
}

fn is_yes(mut from: impl BufRead) -> Result<bool, Error> {
    let mut answer = String::new();
    let read = from.read_line(&mut answer);
    read.map_err(|e| {
        Error::environment("terminal.unreadable", format!("the answer cannot be read: {e}")).help("give --yes")
    })?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        for (answer, yes) in
            [("y\n", true), (" yes \nno\n", true), ("Y", true), ("n\n", false), ("", false), ("yy\n", false)]
        {
            assert_eq!(is_yes(answer.as_bytes()).unwrap(), yes, "{answer:?}");
        }
        // keys of a terminal that speaks Latin-1
        assert_eq!(is_yes(&b"j\xe4\n"[..]).unwrap_err().code(), "terminal.unreadable");
    }
}
