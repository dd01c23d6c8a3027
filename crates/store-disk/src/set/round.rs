//! The start of several directories: each is opened by its own thread, and none is used before it is known which can be.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::plan::{FILE, Member, Plan, plan};
use crate::volume::Volume;

/// How often a thread that waits for the others looks whether it is to end.
const LOOK: Duration = Duration::from_millis(200);

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Round {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// One for each directory.
    reports: Vec<Report>,
    /// Which directory each of them is, whatever it is called.
    claims: Vec<Option<PathBuf>>,
    plan: Option<Plan>,
}

#[derive(Clone, Debug)]
enum Report {
    /// It has not been tried, or another process has it: that one may be about to end.
    Awaited,
    /// It cannot be used now. The others do not wait for it.
    Unusable,
    Found(Member),
}

/// What a directory may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// What it says of itself from now on.
    member: Member,
    begins_empty: bool,
    /// It is the one with the log, as far as these directories keep it.
    pub(crate) is_keeper: bool,
    goes_on: bool,
}

impl Round {
    pub(crate) fn new(directories: usize) -> Self {
        let state = State { reports: vec![Report::Awaited; directories], claims: vec![None; directories], plan: None };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The directory of this number cannot be used now.
    pub(crate) fn unusable(&self, number: usize) {
        let mut state = self.state();
        if matches!(state.reports[number], Report::Awaited) {
            state.reports[number] = Report::Unusable;
        }
        self.changed.notify_all();
    }

    /// Refuses a directory that is the one of another number too, by a link: it would wait for itself.
    pub(crate) fn claim(&self, number: usize, path: &Path) -> io::Result<()> {
        let real = path.canonicalize()?;
        let mut state = self.state();
        if state.claims.iter().enumerate().any(|(other, claimed)| other != number && claimed.as_ref() == Some(&real)) {
            return Err(io::Error::other(format!("it is {}, which is configured already", real.display())));
        }
        state.claims[number] = Some(real);
        Ok(())
    }

    /// The directory of this number is this process's. Waits until all others were tried. `None`: the process ends.
    pub(crate) fn join(&self, number: usize, member: Member, ends: impl Fn() -> bool) -> Option<Part> {
        let mut state = self.state();
        state.reports[number] = Report::Found(member.clone());
        self.changed.notify_all();
        loop {
            if state.plan.is_none() && !state.reports.iter().any(|report| matches!(report, Report::Awaited)) {
                state.plan = Some(plan(&state.found()));
            }
            if let Some(plan) = &mut state.plan {
                return Some(part(plan, member));
            }
            if ends() {
                return None;
            }
            state = self.changed.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The numbers that directories have for placing keys, in the order in which they are configured; `None` for one that cannot be used. `None` in
    /// all: it is not known yet.
    pub(crate) fn ids(&self) -> Option<Vec<Option<u64>>> {
        let state = self.state();
        let plan = state.plan.as_ref()?;
        let id = |report: &Report| match report {
            Report::Found(member) => Some(member.id).filter(|id| plan.members.contains(id)),
            Report::Awaited | Report::Unusable => None,
        };
        Some(state.reports.iter().map(id).collect())
    }
}

impl State {
    fn found(&self) -> Vec<Member> {
        let found = self.reports.iter().filter_map(|report| match report {
            Report::Found(member) => Some(member.clone()),
            Report::Awaited | Report::Unusable => None,
        });
        found.collect()
    }
}

/// One that comes late has missed the purges of this process until now, so it begins empty.
fn part(plan: &mut Plan, member: Member) -> Part {
    let is_late = !plan.members.contains(&member.id);
    if is_late {
        plan.members.push(member.id);
    }
    let is_keeper = plan.keeper == member.id;
    let begins_empty = is_late || plan.empty.contains(&member.id);
    let (start, members) = (plan.start, plan.members.clone());
    Part { member: Member { start, has_log: is_keeper, members, ..member }, begins_empty, is_keeper, goes_on: plan.goes_on }
}

/// What a directory says of itself, before this start.
pub(crate) fn member_of(volume: &dyn Volume, log_file: &str) -> io::Result<Member> {
    let known = volume.get(FILE)?.and_then(|bytes| Member::parse(std::str::from_utf8(&bytes).ok()?));
    match known {
        Some(known) => Ok(known),
        None => Ok(Member::alone(volume.get(log_file)?.is_some())),
    }
}

impl Part {
    /// Makes a directory what it is to be. `log_file` says which log it has.
    pub(crate) fn prepare(&self, volume: &dyn Volume, path: &Path, log_file: &str) -> io::Result<()> {
        if self.begins_empty {
            volume.remove_segments()?;
        }
        if !(self.is_keeper && self.goes_on) {
            forget_file(path, log_file)?;
        }
        // At last: a process that is killed before leaves a directory that was away.
        volume.put(FILE, self.member.encode().as_bytes())
    }
}

/// A directory that is used alone is no part of a set any more: others cannot know what becomes of it.
pub(crate) fn leave(path: &Path) -> io::Result<()> {
    forget_file(path, FILE)
}

fn forget_file(path: &Path, name: &str) -> io::Result<()> {
    match std::fs::remove_file(path.join(name)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
