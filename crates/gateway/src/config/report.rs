//! Everything that is wrong with a configuration, as the user reads it.

use std::fmt;
use std::io::IsTerminal;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};

use super::mistake::{Diagnostic, Mistake, Mistakes, Severity};
use super::source::Source;

/// Errors and warnings with their places. Secrets are already masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    source: Option<Arc<Source>>,
    diagnostics: Vec<Diagnostic>,
}

/// A report without errors: what came with a configuration that can be used.
pub type Warnings = Report;

impl Report {
    pub(super) fn new(source: Option<Arc<Source>>, mistakes: Mistakes) -> Self {
        Self { source, diagnostics: mistakes.into_sorted() }
    }

    /// A report of one error.
    pub(super) fn single(source: Option<Arc<Source>>, place: Option<std::ops::Range<usize>>, mistake: Mistake) -> Self {
        let mistakes = Mistakes::default();
        mistakes.error(place, mistake);
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
            text.push_str(&renderer.render(&[self.group(diagnostic)]));
            text.push_str("\n\n");
        }
        text.truncate(text.trim_end().len());
        if !text.is_empty() {
            text.push('\n');
        }
        text
    }

    /// One line for each diagnostic, for a log: `config.toml:3:7: error: … (hint: …)`.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.diagnostics.iter().map(|diagnostic| {
            let severity = match diagnostic.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            let place = match (&self.source, &diagnostic.place) {
                (Some(source), Some(span)) => {
                    let (line, column) = source.position(span.start);
                    format!("{}:{line}:{column}: ", source.path())
                }
                (Some(source), None) => format!("{}: ", source.path()),
                (None, _) => String::new(),
            };
            let hint = diagnostic.mistake.hint.as_ref().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
            format!("{place}{severity}: {}{hint}", diagnostic.mistake.message)
        })
    }

    /// Writes the report to stderr, in colour where a person reads it and `NO_COLOR` is not set.
    pub fn print(&self) {
        let color = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        eprint!("{}", self.render(color));
    }

    fn group<'a>(&'a self, diagnostic: &'a Diagnostic) -> Group<'a> {
        let level = match diagnostic.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = Group::with_title(level.primary_title(diagnostic.mistake.message.as_str()));
        if let Some(source) = &self.source {
            group = group.element(place(source, diagnostic));
        }
        if let Some(hint) = &diagnostic.mistake.hint {
            group = group.element(Level::HELP.with_name("hint").message(hint.as_str()));
        }
        group
    }
}

fn place<'a>(source: &'a Source, diagnostic: &'a Diagnostic) -> Element<'a> {
    let Some(span) = &diagnostic.place else {
        return Origin::path(source.path()).into();
    };
    let mut snippet = Snippet::source(source.text()).path(source.path()).annotation(AnnotationKind::Primary.span(span.clone()));
    if let Some((other, label)) = &diagnostic.because {
        snippet = snippet.annotation(AnnotationKind::Context.span(other.clone()).label(label.as_str()));
    }
    snippet.into()
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.render(false))
    }
}

impl std::error::Error for Report {}
