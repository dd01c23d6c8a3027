//! README and docs: every command block is run and what it prints compared, every configuration is checked, every link leads somewhere, and the pages of
//! the reference are what the binary says. `cargo xtask test docs` runs all of it. A page is a test of its own, so a new one cannot be forgotten.

mod book;
mod compare;
mod links;
mod page;
mod reference;
mod run;
mod settings;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use larder_testkit::{Error, Result};
use libtest_mimic::{Arguments, Trial};

use page::Page;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let pages = match pages() {
        Ok(pages) => pages,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let mut trials = vec![
        trial("docs_links::every_link_leads_to_a_file_and_a_heading_that_are_there", links::all_lead_somewhere),
        trial("docs_links::the_table_of_contents_has_every_page_once", links::the_contents_are_whole),
        trial("docs_pages::the_readme_has_120_lines_at_most", links::the_readme_is_short),
        trial("docs_pages::blocks_that_are_not_run_say_why_and_are_few", run::few_are_not_run),
        trial("docs_pages::output_is_compared_with_what_moves_left_out", compare::tests),
        trial("docs_pages::blocks_are_read_with_what_they_say_of_themselves", page::tests),
        trial("docs_reference::pages_are_what_the_binary_says", reference::is_current),
        trial("docs_book::it_is_built_and_its_links_lead_somewhere", book::is_built),
    ];
    for (number, page) in pages.into_iter().enumerate() {
        let name = page.name.trim_end_matches(".md").replace(['/', '-'], "_");
        if page.has_settings() {
            let page = page.clone();
            trials.push(trial(format!("docs_settings::{name}"), move || settings::are_right(&page)));
        }
        if page.has_commands() {
            trials.push(trial(format!("docs_run::{name}"), move || run::follow(&page, number)));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(name: impl Into<String>, test: impl FnOnce() -> Result<()> + Send + 'static) -> Trial {
    Trial::test(name, move || test().map_err(|error| error.to_string().into()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(root().join(path)).map_err(|error| Error::from(error).while_doing(format!("reading {path}")))
}

/// The files below this folder that end so, by their paths.
fn files(folder: &str, ending: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(folder))? {
        let entry = entry?;
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            found.extend(files(&path, ending)?);
        } else if path.ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The README and every page of the book.
fn pages() -> Result<Vec<Page>> {
    let mut names = files("docs", ".md")?;
    names.insert(0, "README.md".to_owned());
    names.into_iter().map(|name| Page::read(&name)).collect()
}
