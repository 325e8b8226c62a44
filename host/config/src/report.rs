//! Findings for eyes (a caret under the place) and for programs. Secrets are veiled in the shown text first, so a caret can
//! stand beside a password and never show it.

use crate::secret;
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};
use std::collections::BTreeMap;
use std::fmt;
use std::io::IsTerminal;
use std::ops::Range;
use weir_api::{Finding, Place, Severity};

/// The files that findings speak of.
#[derive(Clone, Default)]
pub struct Texts {
    files: BTreeMap<String, Text>,
}

#[derive(Clone, Default)]
struct Text {
    text: String,
    hidden: Vec<Range<usize>>,
}

/// How findings are drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Style {
    pub colour: bool,
    /// columns that texts are wrapped to
    pub width: usize,
}

/// A text with its secrets replaced, and where its bytes went.
struct Veiled {
    text: String,
    /// (place in the original, place in this text, length here), one for each secret, in order
    moved: Vec<(Range<usize>, Range<usize>)>,
}

#[derive(Debug)]
struct Drawn<'a> {
    finding: &'a Finding,
    source: Option<NamedSource<String>>,
    label: Option<Range<usize>>,
}

// === impl Style ===

impl Style {
    /// No colours: for files and golden tests.
    pub const PLAIN: Style = Style { colour: false, width: 100 };

    /// For standard error: colours on a terminal, unless `NO_COLOR` is set.
    pub fn of_stderr() -> Self {
        let allowed = std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        Style { colour: allowed && std::io::stderr().is_terminal(), ..Style::PLAIN }
    }
}

// === impl Texts ===

impl Texts {
    pub fn add(&mut self, file: impl Into<String>, text: impl Into<String>) {
        let text = text.into();
        let hidden = secret::suspects(&text);
        self.files.insert(file.into(), Text { text, hidden });
    }
    /// Hides a value that is known to be a secret, whatever its key is called ([`crate::secret::places`]).
    pub fn hide(&mut self, place: &Place) {
        if let Some(text) = self.files.get_mut(&place.file) {
            text.hidden.push(place.span.clone());
        }
    }
    /// Line and column of a place, both from 1; columns count characters.
    pub fn line_and_column(&self, place: &Place) -> Option<(usize, usize)> {
        let before = self.files.get(&place.file)?.text.get(..place.span.start)?;
        let line = before.rfind('\n').map_or(0, |i| i + 1);
        let column = before.get(line..)?.chars().count() + 1;
        Some((before.matches('\n').count() + 1, column))
    }
}

/// Findings as text, one under the other.
pub fn graphical(findings: &[Finding], texts: &Texts, style: Style) -> String {
    let theme = if style.colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler =
        GraphicalReportHandler::new_themed(theme).with_links(false).with_width(style.width).with_context_lines(1);
    let veiled: BTreeMap<&str, Veiled> = texts.files.iter().map(|(f, t)| (f.as_str(), Veiled::of(t))).collect();
    let mut out = String::new();
    for finding in findings {
        let at = finding.place.as_ref().and_then(|place| Some((place, veiled.get(place.file.as_str())?)));
        let drawn = Drawn {
            finding,
            source: at.map(|(place, veiled)| NamedSource::new(&place.file, veiled.text.clone())),
            label: at.map(|(place, veiled)| veiled.span(&place.span)),
        };
        // Drawing into a String fails only where the place lies outside of the text; the words are still worth having.
        let mut one = String::new();
        if handler.render_report(&mut one, &drawn).is_err() {
            one.clear();
            let _ = handler.render_report(&mut one, &Drawn { finding, source: None, label: None });
        }
        if !out.is_empty() {
            out.push('\n');
        }
        for line in one.lines() {
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
    out
}

/// Findings as `[{code, severity, message, help, key, file, line, column}]`; what is not known is null.
pub fn json(findings: &[Finding], texts: &Texts) -> serde_json::Value {
    let one = |finding: &Finding| {
        let at = finding.place.as_ref().and_then(|p| texts.line_and_column(p));
        serde_json::json!({
            "code": finding.code,
            "severity": match finding.severity { Severity::Error => "error", Severity::Warning => "warning" },
            "message": finding.message,
            "help": finding.help,
            "key": finding.key,
            "file": finding.place.as_ref().map(|p| &p.file),
            "line": at.map(|(line, _)| line),
            "column": at.map(|(_, column)| column),
        })
    };
    findings.iter().map(one).collect()
}

// === impl Veiled ===

impl Veiled {
    fn of(source: &Text) -> Self {
        let mut hidden = source.hidden.clone();
        hidden.sort_by_key(|r| (r.start, std::cmp::Reverse(r.end)));
        hidden.dedup_by(|b, a| b.start < a.end);
        let (mut text, mut moved, mut from) = (String::new(), vec![], 0);
        for span in hidden {
            let Some(before) = source.text.get(from..span.start).filter(|_| source.text.is_char_boundary(span.end))
            else {
                continue;
            };
            text.push_str(before);
            let start = text.len();
            text.push_str(secret::MASK);
            from = span.end;
            moved.push((span, start..text.len()));
        }
        text.push_str(source.text.get(from..).unwrap_or_default());
        Veiled { text, moved }
    }

    fn span(&self, span: &Range<usize>) -> Range<usize> {
        let (start, end) = (self.offset(span.start, false), self.offset(span.end, true));
        start..end.max(start)
    }

    /// Where a byte of the original went; inside of a secret: its beginning or its end.
    fn offset(&self, at: usize, end: bool) -> usize {
        let mut shift: (usize, usize) = (0, 0);
        for (was, is) in &self.moved {
            if at <= was.start {
                break;
            }
            if at < was.end {
                return if end { is.end } else { is.start };
            }
            shift = (was.end, is.end);
        }
        (at - shift.0 + shift.1).min(self.text.len())
    }
}

// === impl Drawn ===

impl fmt::Display for Drawn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.finding.message)
    }
}

impl std::error::Error for Drawn<'_> {}

impl Diagnostic for Drawn<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.finding.code))
    }
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.finding.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.finding.help.as_ref().map(|h| Box::new(h) as Box<dyn fmt::Display>)
    }
    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|s| s as &dyn SourceCode)
    }
    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = self.label.clone()?;
        Some(Box::new(std::iter::once(LabeledSpan::new(None, label.start, label.len()))))
    }
}
