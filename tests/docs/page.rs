//! A page, as its fenced blocks.
//!
//! A block says of itself what it is: the word before the first comma is the language, and then `file=NAME` (its text is that file when the commands of the
//! page are run), `not-run=REASON-IN-WORDS` (its commands are not run), `figures=examples` (what is measured is not compared), or `not-checked=REASON` (its
//! configuration is not one by itself).

use larder_testkit::{Error, Result};

use super::read;

/// A fenced block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// The line of its fence, from 1 on.
    pub(super) line: usize,
    pub(super) language: String,
    attributes: Vec<(String, String)>,
    pub(super) text: String,
}

impl Block {
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether it shows commands: with their output, or as a script.
    pub(super) fn is_commands(&self) -> bool {
        ["console", "sh", "bash"].contains(&self.language.as_str())
    }

    /// Its commands, each with the output below it. A script is one command that prints whatever it likes.
    pub(super) fn commands(&self) -> Vec<(String, Option<Vec<&str>>)> {
        if self.language != "console" {
            return vec![(self.text.clone(), None)];
        }
        let mut commands: Vec<(String, Option<Vec<&str>>)> = Vec::new();
        let mut continued = false;
        for line in self.text.lines() {
            match (line.strip_prefix("$ "), commands.last_mut()) {
                (_, Some((command, _))) if continued => {
                    command.push('\n');
                    command.push_str(line.strip_prefix("> ").unwrap_or(line));
                }
                (Some(command), _) => commands.push((command.to_owned(), Some(Vec::new()))),
                (None, Some((_, Some(output)))) => output.push(line),
                (None, _) => {}
            }
            continued = line.ends_with('\\');
        }
        commands
    }
}

#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) name: String,
    pub(super) blocks: Vec<Block>,
}

impl Page {
    pub(super) fn read(name: &str) -> Result<Self> {
        Self::parse(name, &read(name)?)
    }

    fn parse(name: &str, text: &str) -> Result<Self> {
        let mut page = Self { name: name.to_owned(), blocks: Vec::new() };
        let mut open: Option<Block> = None;
        for (number, line) in text.lines().enumerate() {
            match (&mut open, line.strip_prefix("```")) {
                (Some(_), Some(_)) => page.blocks.extend(open.take()),
                (Some(block), None) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (None, Some(info)) => open = Some(Self::block(name, number + 1, info)?),
                (None, None) => {}
            }
        }
        match open {
            Some(block) => Err(Error::new(format!("{name}:{}: the block has no end", block.line))),
            None => Ok(page),
        }
    }

    fn block(name: &str, line: usize, info: &str) -> Result<Block> {
        let mut parts = info.split(',');
        let language = parts.next().unwrap_or_default().to_owned();
        let mut attributes = Vec::new();
        for part in parts.filter(|part| language != "rust" || part.contains('=')) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            if !["file", "not-run", "not-checked", "figures"].contains(&key) || value.is_empty() {
                return Err(Error::new(format!("{name}:{line}: `{part}` says nothing that a test knows")));
            }
            attributes.push((key.to_owned(), value.to_owned()));
        }
        Ok(Block { line, language, attributes, text: String::new() })
    }

    pub(super) fn has_commands(&self) -> bool {
        self.blocks.iter().any(|block| block.is_commands() && block.attribute("not-run").is_none())
    }

    pub(super) fn has_settings(&self) -> bool {
        self.blocks.iter().any(|block| block.language == "toml")
    }
}

pub(super) fn tests() -> Result<()> {
    let text = "text\n```toml,file=a.toml\nx = 1\n```\n```console\n$ a \\\n    b\nout\n\nput\n$ c\n```\n```sh,not-run=needs-a-cluster\nd\n```\n```\n$ e\n```\n";
    let page = Page::parse("a.md", text)?;
    assert_eq!(page.blocks[0].attribute("file"), Some("a.toml"));
    let expected = [("a \\\n    b".to_owned(), Some(vec!["out", "", "put"])), ("c".to_owned(), Some(Vec::new()))];
    assert_eq!(page.blocks[1].commands(), expected);
    assert_eq!((page.blocks[2].line, page.blocks[2].attribute("not-run")), (13, Some("needs-a-cluster")));
    assert!(page.has_commands() && page.has_settings());
    for wrong in ["```toml,fil=a\n```\n", "```sh,not-run\n```\n", "```sh\n"] {
        assert!(Page::parse("a.md", wrong).is_err(), "{wrong}");
    }
    // Commands in a block of another language would be run by readers alone.
    for page in super::pages()? {
        let is_hidden = |block: &&Block| !block.is_commands() && block.text.lines().any(|line| line.starts_with("$ "));
        assert_eq!(
            page.blocks.iter().find(is_hidden).map(|block| format!("{}:{}", page.name, block.line)),
            None,
            "a block of commands that is not `console`"
        );
    }
    Ok(())
}
