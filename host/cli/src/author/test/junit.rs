//! Verdicts as JUnit's XML, for build machines.

use super::Verdict;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use std::path::Path;
use weir_api::Error;

pub fn write(file: &Path, uses: &str, verdicts: &[Verdict]) -> Result<(), Error> {
    let mut suite = TestSuite::new(uses.to_owned());
    for verdict in verdicts {
        let status = match &verdict.diff {
            None => TestCaseStatus::success(),
            Some(diff) => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_message("what came out is not what is expected").set_description(diff.clone());
                status
            }
        };
        let mut case = TestCase::new(verdict.name.clone(), status);
        case.set_classname(uses.to_owned());
        suite.add_test_case(case);
    }
    let mut report = Report::new("weir test");
    report.add_test_suite(suite);
    let written = report.to_string().map_err(|e| e.to_string());
    written.and_then(|text| std::fs::write(file, text).map_err(|e| e.to_string())).map_err(|why| {
        Error::environment("test.unwritable", format!("`{}` cannot be written: {why}", file.display()))
            .help("give a --junit that this user may write")
    })
}
