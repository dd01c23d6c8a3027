//! The issues of the sample backend.

use std::collections::BTreeMap;

use axum::http::HeaderValue;
use larder_semantics::Timestamp;
use serde::{Deserialize, Serialize};

const PROJECTS: [(&str, &str); 4] = [("acme", "storefront"), ("acme", "payments"), ("globex", "mobile"), ("o", "p")];
const PEOPLE: [&str; 5] = ["ada", "grace", "linus", "margaret", "ken"];
const TITLES: [&str; 12] = [
    "Checkout button stays grey after the address is filled in",
    "Search returns archived products",
    "Refund e-mail shows the wrong currency",
    "Session ends while a file is uploading",
    "Dark theme hides the cursor in the editor",
    "Order export times out above 10,000 rows",
    "Push notification opens the wrong screen",
    "Two invoices for one subscription renewal",
    "Time zone of the delivery window is off by one hour",
    "Avatar upload accepts files that are not images",
    "Password reset link works twice",
    "Totals differ between cart and receipt",
];
const STATES: [&str; 3] = ["open", "in progress", "closed"];
const PRIORITIES: [&str; 3] = ["low", "normal", "high"];
const COUNT: u64 = 48;
/// 2026-09-01T08:00:00Z.
const FIRST_DAY: u64 = 1_788_249_600;
const DAY: u64 = 86_400;

/// An issue as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Issue {
    pub(super) id: u64,
    pub(super) organization: String,
    pub(super) project: String,
    pub(super) title: String,
    pub(super) state: String,
    pub(super) priority: String,
    pub(super) assignee: String,
    /// Raised by every change.
    pub(super) version: u64,
    #[serde(skip)]
    pub(super) updated: Timestamp,
}

impl Issue {
    pub(super) fn etag(&self) -> String {
        format!("\"issue-{}-{}\"", self.id, self.version)
    }

    pub(super) fn last_modified(&self) -> HeaderValue {
        self.updated.to_http_date()
    }
}

/// The body of a write; everything is optional in a PATCH, only `title` is needed for a new issue.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Draft {
    pub(super) organization: Option<String>,
    pub(super) project: Option<String>,
    pub(super) title: Option<String>,
    pub(super) state: Option<String>,
    pub(super) priority: Option<String>,
    pub(super) assignee: Option<String>,
}

impl Draft {
    fn apply(self, issue: &mut Issue) {
        let fields = [
            (self.organization, &mut issue.organization),
            (self.project, &mut issue.project),
            (self.title, &mut issue.title),
            (self.state, &mut issue.state),
            (self.priority, &mut issue.priority),
            (self.assignee, &mut issue.assignee),
        ];
        for (new, field) in fields {
            if let Some(new) = new {
                *field = new;
            }
        }
    }
}

/// Which issues a list holds; `None` is any.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Filter {
    pub(super) organization: Option<String>,
    pub(super) project: Option<String>,
    pub(super) state: Option<String>,
}

impl Filter {
    fn holds(&self, issue: &Issue) -> bool {
        let fits = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        fits(&self.organization, &issue.organization) && fits(&self.project, &issue.project) && fits(&self.state, &issue.state)
    }
}

/// All issues.
#[derive(Debug)]
pub(super) struct Issues {
    by_id: BTreeMap<u64, Issue>,
    revision: u64,
}

impl Issues {
    /// The same issues at every start.
    pub(super) fn sample() -> Self {
        Self { by_id: (1..=COUNT).map(|id| (id, sample(id))).collect(), revision: 1 }
    }

    /// Validator of any list: it changes with every write.
    pub(super) fn etag(&self) -> String {
        format!("\"issues-{}\"", self.revision)
    }

    pub(super) fn list(&self, filter: &Filter) -> Vec<&Issue> {
        self.by_id.values().filter(|issue| filter.holds(issue)).collect()
    }

    /// Issues with every one of `words` in the title, whatever their case.
    pub(super) fn search(&self, words: &str) -> Vec<&Issue> {
        let words: Vec<_> = words.split_whitespace().map(str::to_lowercase).collect();
        let found = |issue: &&Issue| words.iter().all(|word| issue.title.to_lowercase().contains(word));
        self.by_id.values().filter(found).collect()
    }

    pub(super) fn get(&self, id: u64) -> Option<&Issue> {
        self.by_id.get(&id)
    }

    /// How many issues there are by `label`.
    pub(super) fn count_by(&self, label: impl Fn(&Issue) -> &str) -> BTreeMap<&str, u64> {
        let mut counts = BTreeMap::new();
        for issue in self.by_id.values() {
            *counts.entry(label(issue)).or_default() += 1;
        }
        counts
    }

    pub(super) fn add(&mut self, draft: Draft, now: Timestamp) -> Issue {
        let id = self.by_id.last_key_value().map_or(1, |(last, _)| last + 1);
        let mut issue = Issue { updated: now, version: 1, ..sample(id) };
        "open".clone_into(&mut issue.state);
        draft.apply(&mut issue);
        self.revision += 1;
        self.by_id.entry(id).insert_entry(issue).get().clone()
    }

    pub(super) fn change(&mut self, id: u64, draft: Draft, now: Timestamp) -> Option<Issue> {
        let issue = self.by_id.get_mut(&id)?;
        draft.apply(issue);
        issue.version += 1;
        issue.updated = now;
        self.revision += 1;
        Some(issue.clone())
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<Issue> {
        let removed = self.by_id.remove(&id)?;
        self.revision += 1;
        Some(removed)
    }
}

fn sample(id: u64) -> Issue {
    fn pick<T: Copy>(from: &[T], number: u64) -> T {
        from[(number % from.len() as u64) as usize]
    }
    let (organization, project) = pick(&PROJECTS, id);
    Issue {
        id,
        organization: organization.to_owned(),
        project: project.to_owned(),
        title: pick(&TITLES, id * 7).to_owned(),
        state: pick(&STATES, id / 2).to_owned(),
        priority: pick(&PRIORITIES, id / 5).to_owned(),
        assignee: pick(&PEOPLE, id * 3).to_owned(),
        version: 1,
        updated: Timestamp::from_secs(FIRST_DAY + id * DAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(FIRST_DAY + 100 * DAY);

    #[test]
    fn every_project_has_issues_of_its_own() {
        let issues = Issues::sample();
        let total: usize = PROJECTS
            .iter()
            .map(|(organization, project)| {
                let filter = Filter { organization: Some((*organization).to_owned()), project: Some((*project).to_owned()), state: None };
                issues.list(&filter).len()
            })
            .inspect(|count| assert_eq!(*count, 12))
            .sum();
        assert_eq!(total, issues.list(&Filter::default()).len());
    }

    #[test]
    fn a_change_renews_the_validators_of_the_issue_and_of_the_lists() {
        let mut issues = Issues::sample();
        let (list, issue) = (issues.etag(), issues.get(7).unwrap().etag());
        let draft = Draft { state: Some("closed".to_owned()), ..Draft::default() };
        let changed = issues.change(7, draft, NOW).unwrap();
        assert_eq!((changed.state.as_str(), changed.updated), ("closed", NOW));
        assert_ne!(changed.etag(), issue);
        assert_ne!(issues.etag(), list);
    }

    #[test]
    fn issues_come_and_go() {
        let mut issues = Issues::sample();
        let added = issues.add(Draft { title: Some("New".to_owned()), ..Draft::default() }, NOW);
        assert_eq!((added.id, added.title.as_str()), (COUNT + 1, "New"));
        assert_eq!(issues.remove(added.id), Some(added));
        assert_eq!(issues.remove(COUNT + 1), None);
    }

    #[test]
    fn search_finds_all_words_in_any_case() {
        let issues = Issues::sample();
        assert!(issues.search("WRONG currency").iter().all(|issue| issue.title.contains("wrong currency")));
        assert!(!issues.search("wrong currency").is_empty());
        assert!(issues.search("no such words").is_empty());
    }
}
