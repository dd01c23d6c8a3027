//! The syntax of nginx: words, quotes, `;`, `{}` and `#`, and files that are included.

use std::path::{Path, PathBuf};

use crate::{ImportError, Note};

/// Files within files.
const MAX_DEPTH: usize = 16;
/// Files that one pattern may name.
const MAX_FILES: usize = 1000;

/// One directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Directive {
    pub(super) name: String,
    pub(super) args: Vec<String>,
    /// What stands between its braces.
    pub(super) block: Vec<Directive>,
    pub(super) file: String,
    pub(super) line: usize,
}

impl Directive {
    pub(super) fn note(&self, text: impl Into<String>) -> Note {
        Note { file: self.file.clone(), line: self.line, text: text.into() }
    }

    /// The argument at this place; "" where there is none.
    pub(super) fn arg(&self, place: usize) -> &str {
        self.args.get(place).map_or("", String::as_str)
    }
}

/// What is done with `include`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Include<'a> {
    /// Nothing.
    No,
    /// Files are read, and looked for beside this one.
    Beside(&'a Path),
}

pub(super) fn read(path: &Path) -> Result<String, ImportError> {
    let error = |text: String| ImportError { file: path.display().to_string(), line: None, text };
    let bytes = std::fs::read(path).map_err(|failure| error(failure.to_string()))?;
    String::from_utf8(bytes).map_err(|_| error("it is not UTF-8".to_owned()))
}

/// The directives of a text.
pub(super) fn parse(text: &str, file: &str, include: Include<'_>) -> Result<Vec<Directive>, ImportError> {
    let mut parser = Parser { words: words(text, file)?, place: 0, file, include, depth: 0 };
    parser.block(None)
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    Text(String),
    Semicolon,
    Open,
    Close,
}

fn words(text: &str, file: &str) -> Result<Vec<(Word, usize)>, ImportError> {
    let (mut words, mut line) = (Vec::new(), 1);
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\n' => line += 1,
            char if char.is_whitespace() => {}
            '#' => while chars.next_if(|&char| char != '\n').is_some() {},
            ';' => words.push((Word::Semicolon, line)),
            '{' => words.push((Word::Open, line)),
            '}' => words.push((Word::Close, line)),
            '"' | '\'' => {
                let (begin, mut quoted) = (line, String::new());
                loop {
                    match chars.next() {
                        Some(end) if end == char => break,
                        Some('\\') => quoted.extend(unescaped(chars.next())),
                        Some(inner) => {
                            line += usize::from(inner == '\n');
                            quoted.push(inner);
                        }
                        None => {
                            let text = "a quotation begins here and does not end".to_owned();
                            return Err(ImportError { file: file.to_owned(), line: Some(begin), text });
                        }
                    }
                }
                words.push((Word::Text(quoted), begin));
            }
            first => {
                let mut word = String::new();
                word.extend(if first == '\\' { unescaped(chars.next()) } else { vec![first] });
                // A variable may be written with braces, and a regular expression may have them.
                while let Some(&next) = chars.peek() {
                    let ends = next.is_whitespace() || next == ';' || (next == '{' && !word.ends_with('$'));
                    if ends {
                        break;
                    }
                    chars.next();
                    match next {
                        '\\' => word.extend(unescaped(chars.next())),
                        '{' => {
                            word.push('{');
                            while let Some(inner) = chars.next_if(|&char| char != '}' && char != '\n') {
                                word.push(inner);
                            }
                        }
                        other => word.push(other),
                    }
                }
                words.push((Word::Text(word), line));
            }
        }
    }
    Ok(words)
}

/// What stands for a backslash and this character: quotes and spaces stand for themselves, and regular expressions keep theirs.
fn unescaped(char: Option<char>) -> Vec<char> {
    match char {
        Some(char @ ('"' | '\'' | ' ' | ';')) => vec![char],
        Some(char) => vec!['\\', char],
        None => vec!['\\'],
    }
}

struct Parser<'a> {
    words: Vec<(Word, usize)>,
    place: usize,
    file: &'a str,
    include: Include<'a>,
    depth: usize,
}

impl Parser<'_> {
    fn error(&self, line: usize, text: &str) -> ImportError {
        ImportError { file: self.file.to_owned(), line: Some(line), text: text.to_owned() }
    }

    fn next(&mut self) -> Option<(Word, usize)> {
        let word = self.words.get(self.place).cloned();
        self.place += 1;
        word
    }

    /// Directives up to the end of the block that began at `opened`, or of the text.
    fn block(&mut self, opened: Option<usize>) -> Result<Vec<Directive>, ImportError> {
        let mut directives = Vec::new();
        loop {
            match (self.next(), opened) {
                (Some((Word::Text(name), line)), _) => self.directive(name, line, &mut directives)?,
                (Some((Word::Semicolon, _)), _) => {}
                (Some((Word::Close, _)), Some(_)) | (None, None) => return Ok(directives),
                (Some((Word::Close, line)), None) => return Err(self.error(line, "a block ends here that has not begun")),
                (Some((Word::Open, line)), _) => return Err(self.error(line, "a block begins here without a name")),
                (None, Some(line)) => return Err(self.error(line, "the block that begins here does not end")),
            }
        }
    }

    fn directive(&mut self, name: String, line: usize, directives: &mut Vec<Directive>) -> Result<(), ImportError> {
        let mut directive = Directive { name, args: Vec::new(), block: Vec::new(), file: self.file.to_owned(), line };
        loop {
            match self.next() {
                Some((Word::Text(arg), _)) => directive.args.push(arg),
                Some((Word::Semicolon, _)) => break,
                Some((Word::Open, opened)) => {
                    self.depth += 1;
                    if self.depth > MAX_DEPTH {
                        return Err(self.error(opened, "too many blocks within blocks"));
                    }
                    directive.block = self.block(Some(opened))?;
                    self.depth -= 1;
                    break;
                }
                Some((Word::Close, line)) => return Err(self.error(line, &format!("`{}` has no `;` at its end", directive.name))),
                None => return Err(self.error(line, &format!("`{}` has no `;` at its end", directive.name))),
            }
        }
        match self.include {
            Include::Beside(path) if directive.name == "include" => directives.extend(included(&directive, path, self.depth)?),
            _ => directives.push(directive),
        }
        Ok(())
    }
}

/// The directives of the files that an `include` names.
fn included(directive: &Directive, beside: &Path, depth: usize) -> Result<Vec<Directive>, ImportError> {
    let at = |text: String| ImportError { file: directive.file.clone(), line: Some(directive.line), text };
    if depth + 1 > MAX_DEPTH {
        return Err(at("too many files within files".to_owned()));
    }
    let pattern = beside.parent().unwrap_or(Path::new("")).join(directive.arg(0));
    let files = matching(&pattern).map_err(|error| at(format!("{}: {error}", pattern.display())))?;
    let mut directives = Vec::new();
    for file in files {
        let (text, name) = (read(&file)?, file.display().to_string());
        // nginx looks for files of all depths beside its first one.
        let mut parser = Parser { words: words(&text, &name)?, place: 0, file: &name, include: Include::Beside(beside), depth: depth + 1 };
        directives.extend(parser.block(None)?);
    }
    Ok(directives)
}

/// The files that a path names, whose last part may have one `*`.
fn matching(pattern: &Path) -> std::io::Result<Vec<PathBuf>> {
    let name = pattern.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let Some((before, after)) = name.split_once('*') else { return Ok(vec![pattern.to_owned()]) };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(pattern.parent().unwrap_or(Path::new(".")))?.take(MAX_FILES) {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let fits = name.len() >= before.len() + after.len() && name.starts_with(before) && name.ends_with(after);
        if fits && path.is_file() && (!name.starts_with('.') || before.starts_with('.')) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
