//! What a package has to know of the binary in it.

use std::fs;
use std::path::Path;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Debian's name of it.
    pub(crate) architecture: &'static str,
    /// The least version of glibc that has all it asks for; none where it is static.
    pub(crate) libc: Option<String>,
}

impl Facts {
    pub(crate) fn of(binary: &Path) -> Result<Self, String> {
        let bytes = fs::read(binary).map_err(|error| format!("{}: {error}", binary.display()))?;
        Self::read(&bytes).ok_or_else(|| format!("{} is no ELF binary for x86_64 or aarch64", binary.display()))
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let architecture = match (bytes.get(..4)?, bytes.get(18..20)?) {
            (b"\x7fELF", [0x3e, 0]) => "amd64",
            (b"\x7fELF", [0xb7, 0]) => "arm64",
            _ => return None,
        };
        Some(Self { architecture, libc: glibc(bytes).map(|minor| format!("2.{minor}")) })
    }
}

/// The newest `GLIBC_2.N` among the symbol versions.
fn glibc(bytes: &[u8]) -> Option<u32> {
    let name = b"\0GLIBC_2.";
    let minor = |at: usize| {
        let rest = &bytes[at + name.len()..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
    };
    memchr::memmem::find_iter(bytes, name).filter_map(minor).max()
}

/// The commands that a binary lists in its help.
pub(crate) fn commands(help: &str) -> Vec<&str> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| line.starts_with("  "));
    listed.filter_map(|line| line.split_whitespace().next()).filter(|command| *command != "help").collect()
}

#[cfg(test)]
mod tests {
    use super::{Facts, commands};

    fn elf(machine: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x7fELF".to_vec();
        bytes.resize(18, 0);
        bytes.extend([machine, 0]);
        bytes.extend(rest);
        bytes
    }

    #[test]
    fn a_package_needs_the_newest_glibc_that_its_binary_names() {
        let binary = elf(0xb7, b"\0GLIBC_2.9\0GLIBC_2.34\0GLIBC_2.2.5\0GLIBC_PRIVATE\0\0");
        assert_eq!(Facts::read(&binary), Some(Facts { architecture: "arm64", libc: Some("2.34".to_owned()) }));
    }

    #[test]
    fn a_static_binary_needs_none_and_a_script_is_no_binary() {
        assert_eq!(Facts::read(&elf(0x3e, b"")), Some(Facts { architecture: "amd64", libc: None }));
        assert_eq!(Facts::read(b"#!/bin/sh\nexec larder \"$@\"\n"), None);
    }

    #[test]
    fn commands_are_read_from_the_help() {
        let help = "Larder\n\nCommands:\n  serve  Put it\n  check  Look\n  help   Print this\n\nOptions:\n  -h, --help  Print help\n";
        assert_eq!(commands(help), ["serve", "check"]);
    }
}
