//! The ratios to the bare server that were recorded last, kept in the tree so that a run can be compared with an earlier one.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use super::Result;

/// Where they are kept.
pub(super) const FILE: &str = "benches/ratios.txt";

/// A ratio for each scenario (with its protocol) and server.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Ratios(BTreeMap<(String, String), f64>);

impl Ratios {
    /// None where there is no file yet.
    pub(super) fn read(file: &Path) -> Result<Self> {
        match std::fs::read_to_string(file) {
            Ok(text) => Self::parse(&text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(format!("{}: {error}", file.display()).into()),
        }
    }

    fn parse(text: &str) -> Result<Self> {
        let lines = text.lines().zip(1..).filter(|(line, _)| !line.starts_with('#') && !line.trim().is_empty());
        let entry = |(line, number): (&str, u32)| {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                [label, server, ratio] => ratio.parse().ok().map(|ratio| ((label.to_owned(), server.to_owned()), ratio)),
                _ => None,
            }
            .ok_or_else(|| format!("{FILE}, line {number}: not SCENARIO SERVER RATIO").into())
        };
        lines.map(entry).collect::<Result<_>>().map(Self)
    }

    pub(super) fn get(&self, label: &str, server: &str) -> Option<f64> {
        self.0.get(&(label.to_owned(), server.to_owned())).copied()
    }

    pub(super) fn set(&mut self, label: &str, server: &str, ratio: f64) {
        self.0.insert((label.to_owned(), server.to_owned()), ratio);
    }
}

impl fmt::Display for Ratios {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# CPU time a request, of a bare hyper server's in the same run: written by `cargo xtask bench --record`.")?;
        self.0.iter().try_for_each(|((label, server), ratio)| writeln!(f, "{label} {server} {ratio:.2}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let mut ratios = Ratios::default();
        ratios.set("hit-1k", "larder", 1.11);
        ratios.set("hit-1k/h2", "haproxy", 0.5);
        assert_eq!(Ratios::parse(&ratios.to_string()).unwrap(), ratios);
        assert_eq!((ratios.get("hit-1k", "larder"), ratios.get("hit-1k", "nginx")), (Some(1.11), None));
    }

    #[test]
    fn a_line_that_is_no_ratio_is_told_with_its_number() {
        assert_eq!(
            Ratios::parse("# a\nhit-1k larder fast\n").unwrap_err().to_string(),
            "benches/ratios.txt, line 2: not SCENARIO SERVER RATIO"
        );
    }
}
