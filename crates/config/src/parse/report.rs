//! Everything that is wrong with a configuration, as the user reads it.

use std::fmt;
use std::io::{IsTerminal, Write};
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};

use crate::parse::mistake::{Diagnostic, Location, Mistake, Mistakes, Severity};
use crate::parse::source::Source;

/// Errors and warnings with their places. Secrets are already masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    source: Option<Arc<Source>>,
    diagnostics: Vec<Diagnostic>,
}

/// A report without errors: what came with a configuration that can be used.
pub type Warnings = Report;

impl Report {
    pub(crate) fn new(source: Option<Arc<Source>>, mistakes: Mistakes) -> Self {
        Self { source, diagnostics: mistakes.into_sorted() }
    }

    /// A report of one error.
    pub(crate) fn single(source: Option<Arc<Source>>, location: impl Into<Location>, mistake: Mistake) -> Self {
        let mistakes = Mistakes::default();
        mistakes.error(location, mistake);
        Self::new(source, mistakes)
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.diagnostics.is_empty()
    }

    /// How many errors there are.
    pub fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    /// How many warnings there are.
    pub fn warnings(&self) -> usize {
        self.count(Severity::Warning)
    }

    fn count(&self, severity: Severity) -> usize {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count()
    }

    /// The whole report in the look of rustc: a sentence, the place, the line with a caret, a hint. Ends with a newline unless empty.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let mut text = String::new();
        for diagnostic in &self.diagnostics {
            for group in groups(self.source.as_deref(), diagnostic) {
                text.push_str(renderer.render(&[group]).trim_end());
                text.push('\n');
            }
            text.push('\n');
        }
        text.truncate(text.trim_end().len());
        if !text.is_empty() {
            text.push('\n');
        }
        text
    }

    /// One line for each diagnostic, for a log: `config.toml:3:7: error: … (hint: …)`.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.graded().map(|(_, line)| line)
    }

    /// As [`Self::lines`], each with how bad it is.
    pub fn graded(&self) -> impl Iterator<Item = (Severity, String)> {
        self.diagnostics.iter().map(|diagnostic| (diagnostic.severity, self.line(diagnostic)))
    }

    fn line(&self, diagnostic: &Diagnostic) -> String {
        let severity = match diagnostic.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let location = match (&self.source, &diagnostic.location) {
            (Some(source), Location::At(span)) => {
                let (line, column) = source.position(span.start);
                format!("{}:{line}:{column}: ", source.path())
            }
            (Some(source), Location::File) => format!("{}: ", source.path()),
            _ => String::new(),
        };
        let hint = diagnostic.mistake.hint.as_ref().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
        format!("{location}{severity}: {}{hint}", diagnostic.mistake.message)
    }

    /// Writes the report to stderr, in colour where a person reads it and `NO_COLOR` is not set.
    pub fn print(&self) {
        let mut stderr = std::io::stderr();
        let color = stderr.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        // With stderr closed there is nowhere to report that.
        let _ = stderr.write_all(self.render(color).as_bytes());
    }
}

fn groups<'a>(source: Option<&'a Source>, diagnostic: &'a Diagnostic) -> Vec<Group<'a>> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let hint_level = Level::HELP.with_name("hint");
    let hint = diagnostic.mistake.hint.as_deref();
    let title = Group::with_title(level.primary_title(diagnostic.mistake.message.as_str()));
    match source.and_then(|source| element(source, diagnostic)) {
        Some(found) => vec![title.element(found).elements(hint.map(|hint| hint_level.message(hint)))],
        None => std::iter::once(title).chain(hint.map(|hint| Group::with_title(hint_level.primary_title(hint)))).collect(),
    }
}

fn element<'a>(source: &'a Source, diagnostic: &'a Diagnostic) -> Option<Element<'a>> {
    let span = match &diagnostic.location {
        Location::At(span) => source.shown_span(span.clone()),
        Location::File => return Some(Origin::path(source.path()).into()),
        Location::Elsewhere => return None,
    };
    let mut snippet = Snippet::source(source.shown()).path(source.path()).annotation(AnnotationKind::Primary.span(span));
    if let Some((other, label)) = &diagnostic.because {
        snippet = snippet.annotation(AnnotationKind::Context.span(source.shown_span(other.clone())).label(label.as_str()));
    }
    Some(snippet.into())
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.render(false))
    }
}

impl std::error::Error for Report {}
