//! The configuration itself.

use super::Finding;
use crate::config::{Config, Report, Severity, TokenScope};

/// A file that cannot be served: each mistake is an error.
pub(crate) fn broken(report: &Report) -> Vec<Finding> {
    lines(report).collect()
}

/// The warnings of a file that can be served, and who can reach the admin listener.
pub(crate) fn of_configuration(config: &Config, warnings: &Report) -> Vec<Finding> {
    let mut findings: Vec<Finding> = lines(warnings).collect();
    if findings.is_empty() {
        findings.push(Finding::good("configuration", "it has neither mistakes nor oddities"));
    }
    findings.push(admin(config));
    findings
}

fn lines(report: &Report) -> impl Iterator<Item = Finding> {
    report.graded().map(|(severity, line)| {
        let remedy = "`larder check` shows the place, with a hint";
        match severity {
            Severity::Error => Finding::error("configuration", line, remedy),
            Severity::Warning => Finding::warning("configuration", line, remedy),
        }
    })
}

fn admin(config: &Config) -> Finding {
    let listen = config.admin.listen.address();
    let what = format!("admin listener on {listen}");
    match (config.admin.listen.is_loopback(), &config.admin.tokens[..]) {
        (true, _) => Finding::good(what, "only this machine reaches it"),
        (false, []) => Finding::warning(
            what,
            "other machines reach it, and without a token it answers probes only: no metrics, no purges",
            "add [[admin.tokens]], or listen on 127.0.0.1",
        ),
        (false, tokens) if tokens.iter().any(|token| token.allows(TokenScope::Admin)) => Finding::warning(
            what,
            "other machines reach it, and a token for everything travels there in clear text",
            "let it listen in a network of its own, and give each client only the scope that it needs",
        ),
        (false, _) => Finding::good(what, "other machines reach it, and need a token"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    fn found(text: &str) -> Vec<Verdict> {
        let text = format!("[upstreams.api]\nurl = \"http://127.0.0.1:3000\"\n{text}");
        match crate::config::parse("test.toml", text.as_bytes(), &Default::default()) {
            Ok((config, warnings)) => of_configuration(&config, &warnings).iter().map(|finding| finding.verdict).collect(),
            Err(report) => broken(&report).iter().map(|finding| finding.verdict).collect(),
        }
    }

    #[test]
    fn mistakes_are_errors_and_oddities_are_warnings() {
        assert_eq!(found(""), [Verdict::Good, Verdict::Good]);
        assert_eq!(found("[cache]\nttl = \"25h\""), [Verdict::Warning, Verdict::Good]);
        assert_eq!(found("[cache]\ntll = 1"), [Verdict::Error]);
        // `check` warns of it too.
        assert_eq!(found("[admin]\nlisten = \"0.0.0.0:8090\""), [Verdict::Warning, Verdict::Warning]);
    }
}
