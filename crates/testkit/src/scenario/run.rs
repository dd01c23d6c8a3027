//! Carries a scenario out: one origin, one Larder, one step after the other.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::expect::{Expectation, Subject};
use super::parse::{Action, AnswerBlock, Request, Step, parse};
use super::text::expand;
use crate::wait::{MAX_SCENARIO, eventually};
use crate::{Client, Error, Larder, Origin, Response, Result, larder};

/// Runs the scenario in this file on a runtime of its own. The error names file and line.
pub fn run_file(file: &Path) -> Result<()> {
    let source = std::fs::read_to_string(file)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let bounded = runtime.block_on(async { tokio::time::timeout(MAX_SCENARIO, run(&source)).await });
    let outcome = bounded.unwrap_or_else(|_| Err(Error::new(format!("not done after {} s", MAX_SCENARIO.as_secs()))));
    outcome.map_err(|error| error.while_doing(file.display()))
}

async fn run(source: &str) -> Result<()> {
    let origin = Origin::start().await?;
    let scenario = parse(&expand(source, &origin.address().to_string()))?;
    let answered = Answered::install(&origin, scenario.answers);
    let larder = Larder::start(&larder::config(&origin.url(), &scenario.config)).await?;
    let mut stage = Stage { origin: &origin, larder: &larder, clients: HashMap::new() };
    let played = stage.play(&scenario.steps).await;
    drop(stage);
    // A request that the origin did not expect is most often the cause of an answer that the client did not expect.
    match (played, origin.check().and_then(|()| answered.check(&origin))) {
        (Ok(()), origins) => origins,
        (Err(error), Ok(())) => Err(error),
        (Err(error), Err(origins)) => Err(Error::new(format!("{error}\n  and {origins}"))),
    }
    .map_err(|error| larder.process().explain(error))
}

/// The origin's answers, with the requests that each of them answered.
struct Answered(Vec<(AnswerBlock, Arc<Mutex<Vec<usize>>>)>);

impl Answered {
    fn install(origin: &Origin, blocks: Vec<AnswerBlock>) -> Self {
        let install = |block: AnswerBlock| {
            let requests = Arc::new(Mutex::new(Vec::new()));
            let (noted, answer) = (Arc::clone(&requests), block.answer.clone());
            let handler = move |request: &crate::origin::Received| {
                noted.lock().expect("no one panics while holding this list").push(request.number);
                answer.clone()
            };
            origin.add(&block.method, &block.target, block.count, Box::new(handler));
            (block, requests)
        };
        Self(blocks.into_iter().map(install).collect())
    }

    /// Every answer was wanted as often as told, by requests that were as expected.
    fn check(&self, origin: &Origin) -> Result<()> {
        let received = origin.received();
        for (block, requests) in &self.0 {
            let requests = requests.lock().expect("no one panics while holding this list");
            if block.count.is_some_and(|count| count != requests.len()) {
                let wanted = block.count.unwrap_or_default();
                let message = format!("line {}: answered {} requests, {wanted} were expected", block.line, requests.len());
                return Err(Error::new(message));
            }
            for &number in requests.iter() {
                check(&block.expectations, &Subject::request(&received[number]))?;
            }
        }
        Ok(())
    }
}

fn check(expectations: &[(usize, Expectation)], subject: &Subject<'_>) -> Result<()> {
    for (line, expectation) in expectations {
        expectation.check(subject).map_err(|error| error.while_doing(format_args!("line {line}")))?;
    }
    Ok(())
}

struct Stage<'a> {
    origin: &'a Origin,
    larder: &'a Larder,
    clients: HashMap<String, Vec<Client>>,
}

impl Stage<'_> {
    async fn play(&mut self, steps: &[Step]) -> Result<()> {
        for step in steps {
            self.act(step).await.map_err(|error| error.while_doing(format_args!("line {}", step.line)))?;
        }
        Ok(())
    }

    async fn act(&mut self, step: &Step) -> Result<()> {
        match &step.action {
            Action::Exchange(request) => {
                let response = self.send(request).await?.finish_last().await?;
                check(&step.expectations, &Subject::response(&response))?;
            }
            Action::Until(request) => self.until(request, &step.expectations).await?,
            Action::Start { name, count, request } => {
                let mut started = Vec::with_capacity(*count);
                for _ in 0..*count {
                    started.push(self.send(request).await?);
                }
                self.clients.insert(name.clone(), started);
            }
            Action::Head(name) => {
                for client in self.named(name)? {
                    let head = client.head().await?;
                    check(&step.expectations, &Subject::head(&head))?;
                }
            }
            Action::Interim(name) => {
                for client in self.named(name)? {
                    let head = client.next_head().await?;
                    check(&step.expectations, &Subject::head(&head))?;
                    if head.status()? >= 200 {
                        return Err(Error::new(format!("expected an interim response, got {}", head.start)));
                    }
                }
            }
            Action::Read { name, body } => {
                let expected = String::from_utf8_lossy(body).into_owned();
                for client in self.named(name)? {
                    client.read_until(&expected).await?;
                }
            }
            Action::Finish(name) => {
                for response in self.finish(name).await? {
                    check(&step.expectations, &Subject::response(&response))?;
                }
            }
            Action::Leave(name) => drop(self.clients.remove(name).ok_or_else(|| unknown(name))?),
            Action::Open(gate) => self.origin.gate(gate).open(),
            Action::Reached { gate, count } => self.origin.gate(gate).reached(*count).await?,
            Action::Requests { count, target } => self.requests(*count, target.as_deref()).await?,
            Action::Metric { name, labels, min } => {
                let labels: Vec<_> = labels.iter().map(String::as_str).collect();
                self.larder.metric_reaches(name, &labels, *min).await?;
            }
            Action::Settled => self.larder.settled().await?,
        }
        Ok(())
    }

    async fn send(&self, request: &Request) -> Result<Client> {
        let mut client = self.larder.connect().await?;
        let fields: Vec<_> = request.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        client.send(&request.method, &request.target, &fields, &request.body).await?;
        Ok(client)
    }

    async fn until(&self, request: &Request, expectations: &[(usize, Expectation)]) -> Result<()> {
        let last = RefCell::new(None);
        let probe = || async {
            let response = self.send(request).await?.finish_last().await?;
            match check(expectations, &Subject::response(&response)) {
                Ok(()) => Ok(Some(())),
                Err(error) => {
                    last.replace(Some(error));
                    Ok(None)
                }
            }
        };
        let outcome = eventually("asking again and again", probe).await;
        outcome.map_err(|error| last.take().map_or(error, |last| last.while_doing("until the end")))
    }

    async fn finish(&mut self, name: &str) -> Result<Vec<Response>> {
        let mut responses = Vec::new();
        for mut client in self.clients.remove(name).ok_or_else(|| unknown(name))? {
            responses.push(client.finish_last().await?);
        }
        Ok(responses)
    }

    /// Waits for so many, so that a request which is under way counts; one more than that is an error at once.
    async fn requests(&self, count: usize, target: Option<&str>) -> Result<()> {
        let came = || target.map_or_else(|| self.origin.request_count(), |target| self.origin.count_of(target));
        let enough = || async { Ok((came() >= count).then_some(())) };
        eventually(format!("waiting for {count} requests, {} came", came()), enough).await?;
        if came() == count { Ok(()) } else { Err(Error::new(format!("expected {count} requests at the origin, {} came", came()))) }
    }

    fn named(&mut self, name: &str) -> Result<&mut Vec<Client>> {
        self.clients.get_mut(name).ok_or_else(|| unknown(name))
    }
}

fn unknown(name: &str) -> Error {
    Error::new(format!("nothing was started as {name}"))
}
