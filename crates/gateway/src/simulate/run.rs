//! A simulation from its logs to its figures.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use larder_semantics::Timestamp;
use larder_simulate::{Account, Advisor, Answers, Decision, LogError, LogFormat, LogRecord, Logs, OriginAnswer, Progress, Report, Sampler};

use super::assumed::{AssumedFields, Assumptions};
use super::compared::Comparison;
use super::curve::CurveThread;
use super::probe::probe;
use super::replica::Replica;
use crate::active::SetupError;
use crate::config::Config;

/// Records that are handed over together.
const BATCH: usize = 512;

/// Batches that wait between the reader and the replay.
const WAITING: usize = 8;

/// How many times larger a packed log is once it is unpacked, roughly.
const UNPACKED: u64 = 10;

/// What is to be simulated.
pub(crate) struct Settings {
    pub(crate) logs: Vec<PathBuf>,
    /// `None`: it is found out.
    pub(crate) format: Option<LogFormat>,
    pub(crate) assumed: Vec<AssumedFields>,
    /// The host of lines without one.
    pub(crate) host: Option<String>,
    /// Whether the hit ratio by memory size is wanted.
    pub(crate) curve: bool,
    /// The share of the keys for it; `None`: as the logs are long.
    pub(crate) share: Option<f64>,
    pub(crate) advise: bool,
    /// Whether origins are asked once a route.
    pub(crate) probe: bool,
}

/// What came of it, by configuration.
pub(crate) struct Simulated {
    pub(crate) reports: Vec<Report>,
    /// Where there are two.
    pub(crate) comparison: Option<Comparison>,
}

/// Why there is no simulation.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SimulateError {
    /// A log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The configuration cannot be set up.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// Something that is assumed cannot be.
    #[error("{0}")]
    Assumed(String),
    /// An origin did not answer.
    #[error("--probe: {0}: {1}")]
    Probe(String, String),
    /// There is nothing to replay.
    #[error("there is no request in the logs{0}")]
    Empty(String),
    /// What was decided cannot be written.
    #[error("{0} cannot be written: {1}")]
    Decisions(PathBuf, std::io::Error),
    /// A thread cannot be started.
    #[error("a thread cannot be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// A configuration that is replayed.
struct Subject {
    name: String,
    routes: Vec<Arc<str>>,
    assumptions: Assumptions,
    replica: Replica,
    account: Account,
    advisor: Option<Advisor>,
    curve: Option<CurveThread>,
}

/// Replays the logs with each of the configurations, which have names. `on_decision` is told what the first of them decides about each record, with the
/// route's name; `on_batch` is called now and then.
pub(crate) async fn simulate(
    configs: Vec<(String, Config)>,
    settings: &Settings,
    progress: &Progress,
    mut on_decision: impl FnMut(&LogRecord, &Decision, Option<&str>),
    on_batch: impl Fn(),
) -> Result<Simulated, SimulateError> {
    let paths: Vec<&Path> = settings.logs.iter().map(PathBuf::as_path).collect();
    let mut probed = Vec::new();
    if settings.probe
        && let Some((_, config)) = configs.first()
    {
        let assumptions = Assumptions::new(config, &[], settings.host.as_deref()).map_err(SimulateError::Assumed)?;
        probed = probe(config.clone(), &paths, settings.format.as_ref(), &assumptions).await?;
    }
    let logs = Logs::open(paths, settings.format.as_ref(), progress)?;
    let (formats, line) = (logs.formats().to_vec(), logs.mean_line());
    let (batches, reader) = read(logs)?;
    let (mut subjects, mut comparison): (Vec<Subject>, _) = (Vec::new(), Comparison::default());
    while let Ok(batch) = batches.recv() {
        if subjects.is_empty() {
            let start = batch.first().map(|(record, _)| record.time).unwrap_or_default();
            for (name, config) in &configs {
                subjects.push(Subject::new(name, config, settings, (&probed, line), start)?);
            }
        }
        for (record, answer) in &batch {
            let decision = decide(&mut subjects, record, answer, &mut comparison).await;
            if let Some((decision, route)) = &decision {
                on_decision(record, decision, route.as_deref());
            }
        }
        on_batch();
    }
    let (logs, answers) = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    let counts = logs.counts().clone();
    if subjects.is_empty() {
        let broken = counts.first_broken.first().map(|line| format!(": {}:{}: {}", line.file, line.line, line.why));
        return Err(SimulateError::Empty(broken.unwrap_or_default()));
    }
    let are_several = subjects.len() > 1;
    let mut reports = Vec::new();
    for subject in subjects {
        let assumed = subject.assumptions.sentences(&answers.assumed(), &subject.routes);
        let report = subject.report(counts.clone())?;
        reports.push(Report { formats: formats.clone(), assumed, ..report });
    }
    Ok(Simulated { reports, comparison: are_several.then_some(comparison) })
}

/// Lets all of them decide; what the first one has decided, with the name of its route.
async fn decide(
    subjects: &mut [Subject],
    record: &LogRecord,
    answer: &Arc<OriginAnswer>,
    comparison: &mut Comparison,
) -> Option<(Decision, Option<Arc<str>>)> {
    let mut first: Option<(Decision, Option<Arc<str>>)> = None;
    for subject in subjects {
        let decision = subject.replica.decide(record, answer).await;
        subject.account.add(record, &decision);
        if let Some(advisor) = &mut subject.advisor {
            advisor.add(record, &decision);
        }
        if let Some(curve) = &mut subject.curve {
            curve.add(record, answer, &decision);
        }
        match &first {
            None => {
                let route = decision.route.and_then(|route| subject.routes.get(route).cloned());
                first = Some((decision, route));
            }
            Some((first, _)) => comparison.add(record, first, &decision),
        }
    }
    first
}

/// A record, and what the origin answered.
type Answered = (LogRecord, Arc<OriginAnswer>);

/// The records as they are read, and the thread that reads them.
type Reading = (Receiver<Vec<Answered>>, JoinHandle<(Logs, Answers)>);

/// Reads the logs on a thread of their own.
fn read(mut logs: Logs) -> Result<Reading, SimulateError> {
    let (sender, receiver) = sync_channel(WAITING);
    let body = move || {
        let mut answers = Answers::default();
        loop {
            let mut batch: Vec<Answered> = Vec::with_capacity(BATCH);
            batch.extend(logs.by_ref().take(BATCH).map(|record| {
                let answer = Arc::new(answers.of(&record));
                (record, answer)
            }));
            // Nobody takes more where the replay has failed.
            if batch.is_empty() || sender.send(batch).is_err() {
                return (logs, answers);
            }
        }
    };
    Ok((receiver, std::thread::Builder::new().name("reader".to_owned()).spawn(body)?))
}

impl Subject {
    fn new(
        name: &str,
        config: &Config,
        settings: &Settings,
        (probed, line): (&[AssumedFields], u64),
        start: Timestamp,
    ) -> Result<Self, SimulateError> {
        // What is given wins over what was found out.
        let all: Vec<AssumedFields> = probed.iter().chain(&settings.assumed).cloned().collect();
        let assumptions = Assumptions::new(config, &all, settings.host.as_deref()).map_err(SimulateError::Assumed)?;
        let replica = Replica::new(config.clone(), config.memory.capacity, assumptions.clone(), start)?.telling_lifetimes();
        let curve = match settings.curve {
            true => Some(CurveThread::start(config.clone(), assumptions.clone(), sampler(settings, line), start)?),
            false => None,
        };
        let routes = replica.routes();
        Ok(Self {
            name: name.to_owned(),
            assumptions,
            replica,
            account: Account::new(routes.clone()),
            advisor: settings.advise.then(|| Advisor::new(routes.clone())),
            routes,
            curve,
        })
    }

    fn report(self, lines: larder_simulate::LineCounts) -> Result<Report, SimulateError> {
        let curve = self.curve.map(CurveThread::finish).transpose()?;
        let advice = self.advisor.map(|advisor| advisor.advice()).unwrap_or_default();
        Ok(Report { config: self.name, curve, advice, ..self.account.report(lines) })
    }
}

/// The share of the keys that the curve is taken from, of logs with lines of so many bytes.
fn sampler(settings: &Settings, line: u64) -> Sampler {
    if let Some(share) = settings.share {
        return Sampler::of_share(share);
    }
    let size = |path: &PathBuf| {
        let bytes = std::fs::metadata(path).map(|file| file.len()).unwrap_or_default();
        let is_packed = path.extension().is_some_and(|extension| extension == "gz" || extension == "zst");
        if is_packed { bytes * UNPACKED } else { bytes }
    };
    Sampler::for_bytes(settings.logs.iter().map(size).sum(), line)
}
