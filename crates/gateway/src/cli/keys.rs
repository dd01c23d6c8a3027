//! `larder keys` and `larder show`: what a running gateway has stored.

use std::process::ExitCode;

use clap::Args;
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::admin_client::AdminFlags;
use super::explain::explained;
use super::paper::Paper;
use crate::config::{display_bytes, display_duration};
use crate::inspect::{EntryReport, KeyList};

/// `larder keys`
#[derive(Debug, Args)]
pub struct Keys {
    /// Only what lies below whole path segments: example.com/api/v1, or /api/v1 on every host
    #[arg(long, value_name = "URL")]
    pub prefix: Option<String>,
    /// Only what has this tag
    #[arg(long, value_name = "TAG")]
    pub tag: Option<String>,
    /// Only what has this name (`key.name` of its route); issue:* for all names that begin so
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Only what is stored under this route
    #[arg(long, value_name = "NAME")]
    pub route: Option<String>,
    /// What comes first: the largest, the oldest, the most asked for, or what is fresh for the longest
    #[arg(long, value_name = "ORDER", value_parser = ["size", "age", "hits", "ttl"], default_value = "size")]
    pub sort: String,
    /// How many
    #[arg(long, value_name = "NUMBER", default_value = "50", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
    /// The gateway.
    #[command(flatten)]
    pub gateway: AdminFlags,
}

impl Keys {
    /// Asks, and prints a table.
    pub fn run(&self) -> ExitCode {
        self.gateway.run(self.table())
    }

    async fn table(&self) -> Result<String, String> {
        let given = [("prefix", &self.prefix), ("tag", &self.tag), ("name", &self.name), ("route", &self.route)];
        let filters = given.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
        let filters: String = filters.map(|(name, value)| format!("&{name}={}", encoded(value))).collect();
        let answer = self.gateway.get(&format!("/keys?sort={}&limit={}{filters}", self.sort, self.limit)).await?;
        if self.gateway.json {
            return Ok(format!("{answer:#}"));
        }
        let list: KeyList = self.gateway.known(answer)?;
        let mut paper = Paper::for_stdout();
        write_list(&mut paper, &list);
        Ok(paper.text())
    }
}

fn write_list(paper: &mut Paper, list: &KeyList) {
    // Routes without names have no column for them.
    let is_named = list.keys.iter().any(|row| !row.name.is_empty());
    let rows: Vec<Vec<String>> = list
        .keys
        .iter()
        .map(|row| {
            let mut cells = vec![
                display_bytes(row.weight),
                row.status.to_string(),
                duration(row.age.into()),
                if row.ttl > 0 { duration(row.ttl.unsigned_abs()) } else { format!("-{}", duration(row.ttl.unsigned_abs())) },
                if row.hits == 3 { "3+".to_owned() } else { row.hits.to_string() },
                row.route.clone(),
            ];
            cells.extend(is_named.then(|| row.name.clone()));
            cells.push(if row.variant.is_empty() { row.key.clone() } else { format!("{} ({})", row.key, row.variant) });
            cells
        })
        .collect();
    let titles = ["size", "status", "age", "ttl", "hits", "route", "name", "key"];
    let titles: Vec<&str> = titles.into_iter().filter(|title| is_named || *title != "name").collect();
    paper.table(&titles, &rows);
    let cut = if list.cut { "; the store has more entries than a walk looks at" } else { "" };
    paper.gap();
    paper.line("in all", &format!("{} responses, {}{cut}", list.matching, display_bytes(list.matching_bytes)));
}

fn duration(seconds: u64) -> String {
    display_duration(std::time::Duration::from_secs(seconds))
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// `larder show`
#[derive(Debug, Args)]
pub struct Show {
    /// A key as `larder keys` lists it, or a URL
    #[arg(value_name = "KEY|URL")]
    pub key: String,
    /// Write the body to stdout, as it is stored
    #[arg(long)]
    pub body: bool,
    /// Which of several variants, from 0
    #[arg(long, value_name = "NUMBER", requires = "body")]
    pub variant: Option<u32>,
    /// The gateway.
    #[command(flatten)]
    pub gateway: AdminFlags,
}

impl Show {
    /// Asks, and prints what lies there.
    pub fn run(&self) -> ExitCode {
        if self.body {
            let variant = self.variant.map_or(String::new(), |variant| format!("&variant={variant}"));
            let target = format!("/entries/{}?body{variant}", encoded(&self.key));
            return self.gateway.run_streaming(Method::GET, &target);
        }
        self.gateway.run(self.text())
    }

    async fn text(&self) -> Result<String, String> {
        let answer = self.gateway.get(&format!("/entries/{}", encoded(&self.key))).await?;
        if self.gateway.json {
            return Ok(format!("{answer:#}"));
        }
        let entry: EntryReport = self.gateway.known(answer)?;
        let mut paper = Paper::for_stdout();
        write_entry(&mut paper, &entry);
        Ok(paper.text())
    }
}

fn write_entry(paper: &mut Paper, entry: &EntryReport) {
    paper.line("key", &entry.key.text);
    if let Some(name) = &entry.key.name {
        paper.more(&format!("name: {name}"));
    }
    for part in &entry.key.others {
        paper.more(&format!("{}: {}", part.name, part.value));
    }
    for stored in &entry.stored {
        paper.gap();
        explained::write_stored(paper, &stored.stored);
        for (name, value) in &stored.fields {
            paper.more(&format!("{name}: {value}"));
        }
    }
}
