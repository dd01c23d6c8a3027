//! Mistakes in a configuration and their places. Reading goes on after a mistake, so that all of them are reported at once.

use std::cell::RefCell;
use std::ops::Range;

use crate::parse::source::mask_sentence;

/// One clear sentence, and what to do about it. The reader adds the location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Mistake {
    /// The mistake in a sentence. Passwords in URLs are masked, for many sentences quote what was given.
    pub(crate) fn new(message: impl AsRef<str>) -> Self {
        Self { message: mask_sentence(message.as_ref()), hint: None }
    }

    pub(crate) fn hint(self, hint: impl AsRef<str>) -> Self {
        Self { hint: Some(mask_sentence(hint.as_ref())), ..self }
    }

    /// For values that do not stand in the file: says which variable or flag holds it.
    pub(crate) fn within(self, name: &str) -> Self {
        Self { message: format!("{name}: {}", self.message), ..self }
    }
}

/// Whether a diagnostic refuses the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can be used, but probably not as meant.
    Warning,
}

/// Where a mistake is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    /// Not in the file: in a variable, a flag, or in that there is no file.
    Elsewhere,
    /// In the file, but at no single place: something is not there.
    File,
    /// At these bytes of the file.
    At(Range<usize>),
}

impl Location {
    /// The first byte, if it is known.
    pub(crate) fn start(&self) -> Option<usize> {
        match self {
            Self::At(span) => Some(span.start),
            Self::File | Self::Elsewhere => None,
        }
    }
}

impl From<Range<usize>> for Location {
    fn from(span: Range<usize>) -> Self {
        Self::At(span)
    }
}

/// A mistake at its location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Diagnostic {
    pub(crate) severity: Severity,
    pub(crate) mistake: Mistake,
    pub(crate) location: Location,
    /// A second location that explains the first.
    pub(crate) because: Option<(Range<usize>, String)>,
}

/// Collects diagnostics through a shared reference, so that several tables can be read side by side.
#[derive(Debug, Default)]
pub(crate) struct Mistakes {
    list: RefCell<Vec<Diagnostic>>,
}

impl Mistakes {
    pub(crate) fn error(&self, location: impl Into<Location>, mistake: Mistake) {
        self.add(Diagnostic { severity: Severity::Error, mistake, location: location.into(), because: None });
    }

    pub(crate) fn warning(&self, location: impl Into<Location>, mistake: Mistake) {
        self.add(Diagnostic { severity: Severity::Warning, mistake, location: location.into(), because: None });
    }

    /// An error at `location` that only makes sense together with another location.
    pub(crate) fn clash(&self, location: impl Into<Location>, mistake: Mistake, other: Option<Range<usize>>, label: &str) {
        let because = other.map(|span| (span, label.to_owned()));
        self.add(Diagnostic { severity: Severity::Error, mistake, location: location.into(), because });
    }

    /// Two routes that inherit one mistaken key tell it once.
    fn add(&self, diagnostic: Diagnostic) {
        let mut list = self.list.borrow_mut();
        if !list.contains(&diagnostic) {
            list.push(diagnostic);
        }
    }

    pub(crate) fn any_error(&self) -> bool {
        self.list.borrow().iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Everything so far, in the order of the file; what has no location comes first.
    pub(crate) fn into_sorted(self) -> Vec<Diagnostic> {
        let mut list = self.list.into_inner();
        list.sort_by_key(|diagnostic| diagnostic.location.start());
        list
    }
}
