//! `weir validate` and `weir plan`.

use crate::args::{Common, Files};
use crate::failure::Failure;
use crate::file;
use crate::output::{self, Done};
use serde_json::json;
use weir_api::Finding;
use weir_config::report;

/// Silent when nothing is wrong; warnings are shown and are no failure.
pub fn validate(files: &Files, common: &Common) -> Result<Done, Failure> {
    let (plans, findings, texts) = file::resolve(files, &common.guests()?)?;
    if findings.iter().any(Finding::is_error) {
        return Err(Failure::Findings(findings, texts));
    }
    if !common.json {
        output::warn(&findings, &texts)
    }
    let names: Vec<_> = plans.iter().map(|p| p.name.as_str()).collect();
    let result = json!({"pipelines": names, "findings": report::json(&findings, &texts)});
    Ok(Done { summary: format!("{} valid", names.join(", ")), text: String::new(), result })
}

/// What the files resolve to, as a pipeline file; secrets are masked.
pub fn plan(files: &Files, common: &Common) -> Result<Done, Failure> {
    let plans = file::plans(files, &common.guests()?)?;
    let text = plans.iter().map(|p| p.to_toml()).collect::<Vec<_>>().join("\n");
    let result: Vec<_> = plans.iter().map(|p| p.to_json()).collect();
    Ok(Done { summary: format!("{} resolved", plans.len()), text, result: result.into() })
}
