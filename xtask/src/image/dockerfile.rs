//! What the last stage of a Dockerfile says of the image.

use serde_json::{Value, json};

/// The last stage.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Stage {
    /// Files by their place in the repository, or in the stage before, and in the image.
    pub(super) copies: Vec<(String, String)>,
    /// `NAME=value`.
    pub(super) environment: Vec<String>,
    pub(super) labels: Vec<String>,
    pub(super) ports: Vec<String>,
    pub(super) user: String,
    pub(super) entrypoint: Vec<String>,
    pub(super) command: Vec<String>,
    /// As Docker has it in an image's configuration, where OCI has nothing for it.
    pub(super) health_check: Value,
}

impl Stage {
    /// Reads it; an instruction that this does not know is an error, or the image would lack it.
    pub(super) fn last(dockerfile: &str) -> Result<Self, String> {
        let lines = dockerfile.lines().filter(|line| !line.starts_with('#')).fold(String::new(), |text, line| text + line + "\n");
        let joined = lines.replace("\\\n", " ");
        let instructions: Vec<(&str, &str)> = joined.lines().filter_map(|line| line.trim().split_once(' ')).collect();
        let start = instructions.iter().rposition(|(name, _)| *name == "FROM").ok_or("the Dockerfile has no FROM")?;
        let mut stage = Self::default();
        for (name, rest) in &instructions[start + 1..] {
            stage.add(name, rest.trim())?;
        }
        Ok(stage)
    }

    fn add(&mut self, name: &str, rest: &str) -> Result<(), String> {
        let wrong = || format!("the Dockerfile's last stage has an instruction that the layout cannot have: {name} {rest}");
        let words: Vec<&str> = rest.split_whitespace().collect();
        match name {
            "COPY" => {
                let files: Vec<&&str> = words.iter().filter(|word| !word.starts_with("--from=")).collect();
                let [from, to] = files[..] else { return Err(wrong()) };
                self.copies.push(((*from).to_owned(), (*to).to_owned()));
            }
            "ENV" => self.environment.extend(words.iter().map(|word| (*word).to_owned())),
            "LABEL" => self.labels.extend(quoted(rest).ok_or_else(wrong)?),
            "EXPOSE" => self.ports.extend(words.iter().map(|word| (*word).to_owned())),
            "USER" => rest.clone_into(&mut self.user),
            "ENTRYPOINT" => self.entrypoint = list(rest).ok_or_else(wrong)?,
            "CMD" => self.command = list(rest).ok_or_else(wrong)?,
            "HEALTHCHECK" => self.health_check = health_check(rest).ok_or_else(wrong)?,
            _ => return Err(wrong()),
        }
        Ok(())
    }
}

fn list(text: &str) -> Option<Vec<String>> {
    serde_json::from_str(text).ok()
}

/// `name="value" other="value"`, without the quotes.
fn quoted(text: &str) -> Option<Vec<String>> {
    let mut pairs = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, behind) = rest.split_once("=\"")?;
        let (value, behind) = behind.split_once('"')?;
        pairs.push(format!("{name}={value}"));
        rest = behind.trim_start();
    }
    Some(pairs)
}

/// `--interval=10s --timeout=3s CMD ["program"]`: times are in nanoseconds there.
fn health_check(text: &str) -> Option<Value> {
    let (flags, command) = text.split_once("CMD ")?;
    let mut test = vec!["CMD".to_owned()];
    test.extend(list(command)?);
    let mut check = json!({ "Test": test });
    for flag in flags.split_whitespace() {
        let (name, seconds) = flag.strip_prefix("--")?.strip_suffix('s')?.split_once('=')?;
        let member = match name {
            "interval" => "Interval",
            "timeout" => "Timeout",
            "start-period" => "StartPeriod",
            _ => return None,
        };
        check[member] = (seconds.parse::<u64>().ok()? * 1_000_000_000).into();
    }
    Some(check)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_stage_is_read_with_all_that_it_says() {
        let text = "FROM rust AS build\nRUN make\n# The base.\nFROM base\nLABEL a.title=\"A title\" \\\n    b=\"c\"\nCOPY --from=build /usr/bin/x /usr/bin/x\nCOPY here /there\nENV A=b\nEXPOSE 80 81\nUSER somebody\nHEALTHCHECK --interval=10s --start-period=5s CMD [\"/usr/bin/x\", \"ready\"]\nENTRYPOINT [\"/usr/bin/x\"]\nCMD [\"serve\"]\n";
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let copies = vec![("/usr/bin/x".to_owned(), "/usr/bin/x".to_owned()), ("here".to_owned(), "/there".to_owned())];
        let health_check =
            json!({ "Test": ["CMD", "/usr/bin/x", "ready"], "Interval": 10_000_000_000_u64, "StartPeriod": 5_000_000_000_u64 });
        let stage = Stage {
            copies,
            environment: words(&["A=b"]),
            labels: words(&["a.title=A title", "b=c"]),
            ports: words(&["80", "81"]),
            user: "somebody".to_owned(),
            entrypoint: words(&["/usr/bin/x"]),
            command: words(&["serve"]),
            health_check,
        };
        assert_eq!(Stage::last(text), Ok(stage));
    }

    #[test]
    fn what_the_layout_cannot_have_is_an_error() {
        for text in ["RUN true", "FROM a\nVOLUME /x", "FROM a\nCMD serve", "FROM a\nHEALTHCHECK NONE"] {
            assert!(Stage::last(text).is_err(), "{text}");
        }
    }
}
