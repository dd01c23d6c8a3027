//! The text of the configuration.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::judge::{Rule, judge, lifetime};
use crate::openapi::Operation;
use crate::survey::{Found, Survey};
use crate::template::{Segment, Template};
use crate::writes::{Write, place, rules, tags_of};

/// Routes that are written; a file with more is nobody's to read.
const MAX_ROUTES: usize = 200;

const HEAD: &str = "\
# A beginning, made by `larder init` of what the backend says of itself: to be read and completed. Each route says why it is as it is. A route without a
# lifetime keeps what the backend itself names one for; its `#` is there to be removed. All keys: config.toml of Larder, or `larder schema`.
#
#   larder check     mistakes, with line and hint          larder explain --fetch URL   what an answer would come to
#   larder serve     in front of the backend               larder doctor                whether backend and machine are as they should be
";

const SHARED: &str = "
[classes.shared]
stale_if_error = \"10m\"   # better old than an error
client_ttl = \"0s\"        # browsers ask each time, so that a purge reaches them,
etag = \"body\"            # and mostly get a 304
";

/// Where no document names a write.
const WRITES: &str = "
# A write makes its own URL old by itself. Nothing is known of writes here, so say what else they make old:
#
# [[on_write]]
# path = \"/api/v1/books/{id}\"
# purge = [\"tag:book:{id}\", \"route:books\"]
";

struct Route<'s> {
    found: &'s Found,
    name: String,
    rule: Rule,
    why: String,
}

pub(crate) fn text(origin: &str, survey: &Survey) -> String {
    let mut routes = routes(survey);
    let left_out = routes.len().saturating_sub(MAX_ROUTES);
    routes.truncate(MAX_ROUTES);
    let is_identity = |route: &Route<'_>| matches!(route.rule, Rule::Identity(_));
    let stored: Vec<&Template> = routes.iter().filter(|route| route.rule != Rule::Off).map(|route| &route.found.template).collect();
    let known = survey.known_writes();
    let (writes, purged) = rules(&known, &stored, routes.iter().any(is_identity));

    let mut text = HEAD.to_owned();
    // Writing to a String cannot fail.
    let (clients, admin) = (port(origin, 8080), port(origin, 8090));
    let _ = write!(text, "\n[server]\nlisten = \"127.0.0.1:{clients}\"    # for clients\n");
    let _ = write!(text, "\n[admin]\nlisten = \"127.0.0.1:{admin}\"    # dashboard, metrics, purges\n");
    let title = comment(&survey.title);
    let about = if title.is_empty() { String::new() } else { format!("# {title}\n") };
    let _ = write!(text, "\n{about}[upstreams.api]\nurl = {}\n", quoted(origin));
    if let Some(file) = &survey.ca_file {
        let _ = writeln!(text, "ca_file = {}", quoted(file));
    }
    if routes.iter().any(|route| is_shared(&route.rule)) {
        text.push_str(SHARED);
    }
    for route in &routes {
        write_route(&mut text, route, &purged);
    }
    if left_out > 0 {
        let _ = write!(
            text,
            "\n# {left_out} more paths were found. They take the settings of [cache], which store what the backend names a lifetime for.\n"
        );
    }
    for rule in &writes {
        write_rule(&mut text, rule, &known);
    }
    if known.is_empty() {
        text.push_str(WRITES);
    }
    text
}

/// The usual port, or another where the backend has that one.
fn port(origin: &str, usual: u16) -> u16 {
    let authority = origin.split_once("://").map_or(origin, |(_, rest)| rest).split('/').next().unwrap_or_default();
    if authority.ends_with(&format!(":{usual}")) { usual + 100 } else { usual }
}

fn is_shared(rule: &Rule) -> bool {
    matches!(rule, Rule::Lifetime(_) | Rule::Unknown | Rule::Identity(_))
}

fn routes(survey: &Survey) -> Vec<Route<'_>> {
    let mut names = BTreeSet::new();
    let mut routes: Vec<Route<'_>> = Vec::new();
    for found in survey.found.values() {
        // A path that only a link named, and that was not there, is nobody's route.
        let is_gone =
            found.sample.as_ref().is_some_and(|(_, answer)| answer.as_ref().is_ok_and(|answer| [404, 405, 410].contains(&answer.status)));
        if found.operation.is_none() && is_gone {
            continue;
        }
        let (rule, why) = judge(found);
        let name = free(name(&found.template), &mut names);
        routes.push(Route { found, name, rule, why });
    }
    routes
}

/// `books` for a list, `books.item` for what is in it, `books.item.reviews`.
fn name(template: &Template) -> String {
    let is_text = |segment: &&Segment| matches!(segment, Segment::Text(_));
    let common = template.segments().iter().filter(is_text).count() - place(template.segments()).len();
    let words = template.segments().iter().skip(common).map(|segment| match segment {
        Segment::Text(text) => text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' }).collect(),
        Segment::Part(_) => "item".to_owned(),
        Segment::Rest => "files".to_owned(),
    });
    let name = words.collect::<Vec<String>>().join(".");
    if name.is_empty() { "root".to_owned() } else { name }
}

fn free(name: String, taken: &mut BTreeSet<String>) -> String {
    let free = std::iter::once(name.clone()).chain((2..).map(|number| format!("{name}-{number}"))).find(|name| !taken.contains(name));
    let free = free.unwrap_or_default();
    taken.insert(free.clone());
    free
}

fn write_route(text: &mut String, route: &Route<'_>, purged: &BTreeSet<String>) {
    let found = route.found;
    let summary = found.operation.as_ref().map(|operation| comment(&operation.summary)).unwrap_or_default();
    let about = if summary.is_empty() { String::new() } else { format!("{summary}. ") };
    let _ = write!(
        text,
        "\n# {about}{}\n[[routes]]\nname = {}\npath = {}\n",
        comment(&route.why),
        quoted(&route.name),
        quoted(&found.template.to_string())
    );
    if is_shared(&route.rule) {
        text.push_str("class = \"shared\"\n");
    }
    match &route.rule {
        Rule::Off => {
            text.push_str("cache = false\n");
            return;
        }
        Rule::Identity(parts) => {
            let _ = write!(text, "scope = \"identity\"\n# ttl = \"{}\"\n", lifetime(found));
            if !parts.iter().all(crate::naming::IdentityPart::is_default) {
                let _ = writeln!(text, "identity = [{}]", list(parts.iter().map(ToString::to_string)));
            }
        }
        Rule::Lifetime(ttl) if found.template.parts().next().is_some() => {
            let _ = writeln!(text, "ttl = {{ default = \"{ttl}\", \"404\" = \"10s\" }}");
        }
        Rule::Lifetime(ttl) => {
            let _ = writeln!(text, "ttl = \"{ttl}\"");
        }
        Rule::Unknown => {
            let _ = writeln!(text, "# ttl = \"{}\"", lifetime(found));
        }
        Rule::Origin => {}
    }
    let fields = found.operation.as_ref().map(|operation| operation.fields.as_slice()).unwrap_or_default();
    if !fields.is_empty() {
        let _ = writeln!(text, "key = {{ headers = [{}] }}", list(fields.iter().cloned()));
    }
    let tags = tags_of(&found.template, purged);
    if !tags.is_empty() {
        let _ = writeln!(text, "tags = [{}]", list(tags.into_iter().map(|tag| tag.text)));
    }
}

fn write_rule(text: &mut String, rule: &Write, known: &[Operation]) {
    let summaries = known.iter().filter(|write| write.template.shape() == rule.path.shape()).map(|write| comment(&write.summary));
    let mut summaries: Vec<String> = summaries.filter(|summary| !summary.is_empty()).collect();
    summaries.dedup();
    let about = if summaries.is_empty() { String::new() } else { format!("# {}\n", comment(&summaries.join("; "))) };
    let purge = match rule.tags.is_empty() {
        true => "\"identity\"".to_owned(),
        false => list(rule.tags.iter().map(|tag| format!("tag:{}", tag.text))),
    };
    let methods = list(rule.methods.iter().cloned());
    let _ = write!(text, "\n{about}[[on_write]]\nmethods = [{methods}]\npath = {}\npurge = [{purge}]\n", quoted(&rule.path.to_string()));
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.map(|item| quoted(&item)).collect::<Vec<_>>().join(", ")
}

/// As a string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            character if character.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(character));
            }
            character => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

/// What somebody else wrote, as part of a comment: one line, nothing that a terminal obeys or that turns text around, and no more than fits.
fn comment(text: &str) -> String {
    let is_shown = |character: &char| {
        !character.is_control() && !matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().filter(is_shown).collect();
    let short: String = line.chars().take(120).collect();
    if short.len() < line.len() { format!("{short}…") } else { short }.trim_end_matches(['.', ' ']).to_owned()
        + if text.ends_with('.') { "." } else { "" }
}
