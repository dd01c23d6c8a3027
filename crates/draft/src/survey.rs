//! What to ask a backend for, and what it answered.

use std::collections::{BTreeMap, BTreeSet};

use http::{HeaderMap, header};
use serde_json::Value;

use crate::links::{first_item, key_of, links};
use crate::naming::{is_asset, may_act};
use crate::openapi::{Api, Operation, encoded};
use crate::output;
use crate::template::{Segment, Template};

/// Requests for samples.
const MAX_REQUESTS: usize = 40;

/// Routes that are written where nothing but links names them.
const MAX_SEEN: usize = 60;

/// An answer to a GET without credentials.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its fields.
    pub headers: HeaderMap,
    /// The beginning of its body, or all of it.
    pub body: Vec<u8>,
}

impl Answer {
    pub(crate) fn content_type(&self) -> &str {
        self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Where a redirect leads.
    pub(crate) fn location(&self) -> Option<&str> {
        let location = self.headers.get(header::LOCATION)?.to_str().ok()?;
        (300..400).contains(&self.status).then_some(location)
    }

    fn json(&self) -> Option<Value> {
        self.content_type().contains("json").then(|| serde_json::from_slice(&self.body).ok()).flatten()
    }
}

/// Paths of one form, which are to be one route.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) template: Template,
    /// What the document says of GET.
    pub(crate) operation: Option<Operation>,
    /// A path of this form that was named somewhere.
    seen: Option<String>,
    asked: bool,
    /// The target that was asked for, and what came.
    pub(crate) sample: Option<(String, Result<Answer, String>)>,
}

/// What is known of a backend so far. It asks for nothing itself: whoever has a network does.
#[derive(Clone, Debug)]
pub struct Survey {
    origin: String,
    has_api: bool,
    pub(crate) title: String,
    pub(crate) found: BTreeMap<String, Found>,
    writes: Vec<Operation>,
    /// The first item of each list, by the form of the list's path.
    items: BTreeMap<String, Value>,
    requests: usize,
    pub(crate) ca_file: Option<String>,
}

impl Survey {
    /// Begins one of the backend at `origin`, the URL of the upstream: with what a document says of it, if there is one, and with paths that somebody named.
    /// Without either, links lead on from the root.
    #[must_use]
    pub fn new(origin: &str, api: Option<Api>, paths: &[String]) -> Self {
        let mut survey = Self {
            origin: origin.trim_end_matches('/').to_owned(),
            has_api: api.is_some(),
            title: String::new(),
            found: BTreeMap::new(),
            writes: Vec::new(),
            items: BTreeMap::new(),
            requests: 0,
            ca_file: None,
        };
        if let Some(api) = api {
            survey.title = api.title;
            for operation in api.operations {
                survey.operation(operation);
            }
        } else {
            survey.see("/");
        }
        for path in paths {
            survey.see(path.split(['?', '#']).next().unwrap_or_default());
        }
        survey
    }

    /// Names the file with the authorities that the backend's certificate is from, for the configuration.
    pub fn trust(&mut self, ca_file: &str) {
        self.ca_file = Some(ca_file.to_owned());
    }

    fn operation(&mut self, operation: Operation) {
        if operation.method != "GET" {
            self.writes.push(operation);
            return;
        }
        let template = operation.template.clone();
        self.found.entry(template.shape()).or_insert_with(|| Found::new(template)).operation = Some(operation);
    }

    /// A path that is named somewhere; `{name}` in it stands for any.
    fn see(&mut self, path: &str) {
        let template = Template::of_seen(path).map(|template| if is_asset(path) { template.of_folder() } else { template });
        let Some(template) = template else { return };
        if self.found.len() >= MAX_SEEN && !self.has_api {
            return;
        }
        let found = self.found.entry(template.shape()).or_insert_with(|| Found::new(template));
        if !path.contains('{') && !path.contains("/:") {
            found.seen.get_or_insert_with(|| path.to_owned());
        }
    }

    /// What to ask for next, with GET and without credentials. `None`: there is nothing left, or it has been enough.
    pub fn next_target(&mut self) -> Option<String> {
        if self.requests >= MAX_REQUESTS {
            return None;
        }
        let order = |(shape, found): &(String, &Found)| (found.template.parts().count(), shape.clone());
        let mut open: Vec<_> = self.found.iter().filter(|(_, found)| !found.asked).map(|(shape, found)| (shape.clone(), found)).collect();
        open.sort_by_key(order);
        let (shape, target) = open.into_iter().find_map(|(shape, found)| Some((shape, self.target(found)?)))?;
        self.requests += 1;
        self.found.get_mut(&shape)?.asked = true;
        self.found.get_mut(&shape)?.sample = Some((target.clone(), Err("it was not answered".to_owned())));
        Some(target)
    }

    /// A target of this route that may be asked for, where one can be told.
    fn target(&self, found: &Found) -> Option<String> {
        let acts = |segment: &Segment| matches!(segment, Segment::Text(text) if may_act(text));
        if found.template.segments().iter().any(acts) {
            return None;
        }
        let operation = found.operation.as_ref();
        if operation.is_some_and(|operation| operation.streams || operation.other_credentials || !operation.identity.is_empty()) {
            return None;
        }
        let query = operation.map_or(Some(String::new()), |operation| operation.query.clone())?;
        let path = match &found.seen {
            Some(path) => path.clone(),
            None => found.template.filled(&mut |at, name| {
                let example = operation.and_then(|operation| operation.examples.get(name)).cloned();
                let learned = || key_of(self.items.get(&list_form(&found.template.prefix(at)))?, name);
                Some(encoded(&example.or_else(learned)?))
            })?,
        };
        Some(if query.is_empty() { path } else { format!("{path}?{query}") })
    }

    /// Takes the answer to a target of [`Survey::next_target`]; an error says why there was none.
    pub fn answered(&mut self, target: &str, answer: Result<Answer, String>) {
        let asked = self.found.values_mut().find(|found| found.sample.as_ref().is_some_and(|(asked, _)| asked == target));
        let Some(found) = asked else { return };
        let template = found.template.clone();
        found.sample = Some((target.to_owned(), answer.clone()));
        if answer.as_ref().is_ok_and(|answer| [429, 503].contains(&answer.status)) {
            // It has had enough.
            self.requests = MAX_REQUESTS;
        }
        if let Ok(answer) = answer
            && (200..300).contains(&answer.status)
        {
            self.learn(&template, &answer);
        }
    }

    fn learn(&mut self, template: &Template, answer: &Answer) {
        let json = answer.json();
        if !self.has_api && (json.is_some() || answer.content_type().contains("html")) {
            for link in links(&answer.body, json.as_ref(), &self.origin) {
                self.see(&link);
            }
        }
        let Some(item) = json.as_ref().and_then(first_item) else { return };
        if !self.has_api && item.is_object() && key_of(item, "id").is_some() {
            let one = template.with_part("id");
            if self.found.len() < MAX_SEEN {
                self.found.entry(one.shape()).or_insert_with(|| Found::new(one));
            }
        }
        self.items.insert(list_form(template), item.clone());
    }

    /// How many samples were answered, and how many were asked for.
    pub fn samples(&self) -> (usize, usize) {
        let samples: BTreeSet<_> =
            self.found.values().filter_map(|found| found.sample.as_ref()).map(|(target, answer)| (target, answer.is_ok())).collect();
        (samples.iter().filter(|(_, answered)| *answered).count(), samples.len())
    }

    /// The writes that the document names. Where there is none, those that a list with items has by convention: a rule for a write that nobody sends does nothing.
    pub(crate) fn known_writes(&self) -> Vec<Operation> {
        let mut writes = self.writes.clone();
        for list in self.found.values().filter(|_| !self.has_api) {
            let item = self.found.get(&list.template.with_part("id").shape());
            let Some(item) = item.filter(|_| self.items.contains_key(&list_form(&list.template))) else { continue };
            let write = |method, found: &Found| Operation::plain(method, found.template.clone(), "By convention".to_owned());
            writes.push(write("POST", list));
            writes.extend(["PUT", "PATCH", "DELETE"].map(|method| write(method, item)));
        }
        writes
    }

    /// Whether links led anywhere.
    pub fn leads_on(&self) -> bool {
        self.has_api || self.found.len() > 1
    }

    /// Where redirects lead that leave the backend, if there are any: it may be that another URL was meant.
    pub fn elsewhere(&self) -> Option<&str> {
        let answers = self.found.values().filter_map(|found| found.sample.as_ref()?.1.as_ref().ok());
        answers
            .filter_map(Answer::location)
            .find(|location| location.contains("://") && !location.starts_with(&format!("{}/", self.origin)))
    }

    /// The text of a configuration for what was found.
    pub fn draft(&self) -> String {
        output::text(&self.origin, self)
    }
}

impl Found {
    fn new(template: Template) -> Self {
        Self { template, operation: None, seen: None, asked: false, sample: None }
    }
}

/// The form of a list's path, whether or not it ends in a slash.
fn list_form(template: &Template) -> String {
    template.shape().trim_end_matches('/').to_owned()
}
