//! The form of a line: its pieces, in runs that become known together.
//!
//! ```text
//! [timestamp client … target] [status … reason] [route key … problem] [transfer]
//!  when the head was read      at the end         with the answer       at the end
//! ```
//!
//! A run whose facts are known is written at once, one piece after the other; a line is put together from its runs at the end.

use larder_config::{AccessLog, Log, LogField, LogPiece};

/// When a piece is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// When the request's head was read.
    Request,
    /// When the answer's head is ready.
    Response,
    /// When the answer was sent.
    Sent,
}

/// How values look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// As members of a JSON object.
    Json,
    /// As text, between whatever the format has around it.
    Text,
}

/// A piece of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Text as it stands.
    Literal(Box<[u8]>),
    /// A fact.
    Field(LogField),
    /// The usual text, as far as it is known with the phase of its run.
    Usual,
}

/// Pieces that follow each other and are known together.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) phase: Phase,
    pub(super) pieces: Vec<Piece>,
}

/// The form of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) style: Style,
    pub(super) runs: Vec<Run>,
    /// Whether bodies are hashed.
    pub(super) hashes_bodies: bool,
}

impl Layout {
    pub(super) fn of(log: &Log) -> Self {
        match (log.access, &log.format) {
            (AccessLog::Json, _) => Self::json(log.fields.as_deref().unwrap_or(LogField::ALL)),
            (AccessLog::Text | AccessLog::Off, Some(pieces)) => Self::text(pieces),
            (AccessLog::Text | AccessLog::Off, None) => Self::usual_text(),
        }
    }

    /// An object with these members.
    fn json(fields: &[LogField]) -> Self {
        let mut layout = Self { style: Style::Json, runs: Vec::new(), hashes_bodies: false };
        for (number, field) in fields.iter().enumerate() {
            let before = if number == 0 { '{' } else { ',' };
            let name = match field {
                LogField::Header(name) => format!("{before}\"header.{name}\":"),
                field => format!("{before}\"{}\":", field.name()),
            };
            layout.add(phase(field), [Piece::Literal(name.into_bytes().into()), Piece::Field(field.clone())]);
        }
        layout.add_literal(b"}\n");
        layout
    }

    fn text(pieces: &[LogPiece]) -> Self {
        let mut layout = Self { style: Style::Text, runs: Vec::new(), hashes_bodies: false };
        for piece in pieces {
            match piece {
                LogPiece::Literal(text) => layout.add_literal(text.as_bytes()),
                LogPiece::Field(field) => layout.add(phase(field), [Piece::Field(field.clone())]),
            }
        }
        layout.add_literal(b"\n");
        layout
    }

    fn usual_text() -> Self {
        let mut layout = Self { style: Style::Text, runs: Vec::new(), hashes_bodies: false };
        for phase in [Phase::Request, Phase::Sent, Phase::Response] {
            layout.add(phase, [Piece::Usual]);
        }
        layout.add_literal(b"\n");
        layout
    }

    fn add(&mut self, phase: Phase, pieces: impl IntoIterator<Item = Piece>) {
        let pieces: Vec<Piece> = pieces.into_iter().collect();
        self.hashes_bodies |= pieces.contains(&Piece::Field(LogField::BodyHash));
        match self.runs.last_mut() {
            Some(run) if run.phase == phase => run.pieces.extend(pieces),
            _ => self.runs.push(Run { phase, pieces }),
        }
    }

    /// Text needs to wait for nothing, so it belongs to the run before it.
    fn add_literal(&mut self, text: &[u8]) {
        let phase = self.runs.last().map_or(Phase::Request, |run| run.phase);
        self.add(phase, [Piece::Literal(text.into())]);
    }
}

/// When a fact is written. The request's id and the version of HTTP are known before, and short enough to be kept.
fn phase(field: &LogField) -> Phase {
    match field {
        LogField::Timestamp | LogField::Client | LogField::Method | LogField::Host | LogField::Target | LogField::Header(_) => {
            Phase::Request
        }
        LogField::Route
        | LogField::Key
        | LogField::Stored
        | LogField::Collapsed
        | LogField::Upstream
        | LogField::UpstreamServer
        | LogField::UpstreamStatus
        | LogField::UpstreamUs
        | LogField::RequestId
        | LogField::TraceId
        | LogField::Protocol
        | LogField::TokensSaved
        | LogField::Problem => Phase::Response,
        LogField::Status
        | LogField::Bytes
        | LogField::DurationUs
        | LogField::Result
        | LogField::Reason
        | LogField::Transfer
        | LogField::BodyHash => Phase::Sent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_that_are_known_together_are_one_run() {
        let layout = Layout::of(&Log { access: AccessLog::Json, ..Log::default() });
        let phases: Vec<_> = layout.runs.iter().map(|run| run.phase).collect();
        assert_eq!(phases, [Phase::Request, Phase::Sent, Phase::Response, Phase::Sent]);
        let usual = Layout::of(&Log::default());
        assert_eq!(usual.runs.len(), 3);
    }

    #[test]
    fn text_around_facts_stays_where_it_stands() {
        let pieces = [
            LogPiece::Literal("a ".to_owned()),
            LogPiece::Field(LogField::Status),
            LogPiece::Literal(" b ".to_owned()),
            LogPiece::Field(LogField::Client),
        ];
        let layout = Layout::of(&Log { format: Some(pieces.to_vec()), ..Log::default() });
        let literal = |text: &str| Piece::Literal(text.as_bytes().into());
        let expected = [
            Run { phase: Phase::Request, pieces: vec![literal("a ")] },
            Run { phase: Phase::Sent, pieces: vec![Piece::Field(LogField::Status), literal(" b ")] },
            Run { phase: Phase::Request, pieces: vec![Piece::Field(LogField::Client), literal("\n")] },
        ];
        assert_eq!(layout.runs, expected);
    }
}
