//! Whatever the file holds, reading it ends with data or with a report that can be shown.

use proptest::prelude::*;

use super::load;

const SECRET: &str = "hunter2";

/// The reference with a password in its URL: a file in which every key occurs.
fn reference() -> String {
    include_str!("../../../../config.toml").replace("http://127.0.0.1:3000", &format!("http://me:{SECRET}@h:3000"))
}

fn show(text: &str) -> String {
    let report = match load(text) {
        Ok((_, warnings)) => warnings,
        Err(report) => report,
    };
    report.render(false) + &report.render(true) + &report.lines().collect::<String>()
}

proptest! {
    #[test]
    fn a_damaged_file_is_reported_and_gives_no_secret_away(at in 0_usize..8000, length in 0_usize..20, put in "[\\PC\n\t\\[\\]{}\"'=,#.]{0,6}") {
        let mut text = reference();
        let floor = |index: usize| (0..=index.min(text.len())).rev().find(|index| text.is_char_boundary(*index)).unwrap_or(0);
        let range = floor(at)..floor(at + length);
        let url = text.find("http://me").unwrap()..text.find("@h:3000").unwrap();
        prop_assume!(range.end <= url.start || url.end < range.start);
        text.replace_range(range, &put);
        let shown = show(&text);
        prop_assert!(!shown.contains(SECRET), "{shown}");
    }

    #[test]
    fn any_text_at_all_is_reported(text in "\\PC{0,200}") {
        show(&text);
    }

    #[test]
    fn any_words_as_values_are_reported(word in "\\PC{0,20}") {
        let word = word.replace(['"', '\\'], "");
        show(&format!(
            "[server]\nlisten = [\"{word}\"]\ndrain_timeout = \"{word}\"\n[upstreams.a]\nurl = \"{word}\"\n[cache]\nttl = \"{word}\"\nmax_object = \"{word}\"\nidentity = [\"{word}\"]\n[[routes]]\npath = \"/{word}\"\nhost = \"{word}\"\ntags = [\"{word}\"]\n"
        ));
    }
}
