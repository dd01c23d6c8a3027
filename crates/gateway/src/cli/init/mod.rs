//! `larder init`: a configuration to start from, out of what a backend says of itself.

mod backend;
mod question;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use larder_draft::{Api, Survey};
use larder_tls::Authorities;

use super::admin_client::put;
use crate::config::{self, Overrides, Report, UpstreamUrl};
use crate::telemetry::visible;
use backend::Backend;

/// Where documents are by default in the frameworks that write them: FastAPI and many others, springdoc, Swagger UI, ASP.NET, NestJS, Django,
/// Rails; and where people put files of their own.
const DOCUMENTS: [&str; 11] = [
    "/openapi.json",
    "/v3/api-docs",
    "/swagger.json",
    "/api-docs",
    "/swagger/v1/swagger.json",
    "/api-json",
    "/api/openapi.json",
    "/api/schema/?format=json",
    "/openapi.yaml",
    "/swagger.yaml",
    "/api-docs/v1/swagger.yaml",
];

/// The longest document that is read.
const MAX_DOCUMENT: usize = 8 << 20;

/// What is read of a sample: enough for the first item of a list.
const MAX_SAMPLE: usize = 256 << 10;

/// For all requests together; what is not answered by then is written without a sample.
const LOOKING: Duration = Duration::from_secs(60);

/// Failures after which a backend that has never answered is away.
const ATTEMPTS: usize = 2;

/// `larder init`
#[derive(Debug, Args)]
pub struct Init {
    /// The backend; on a terminal it is asked for
    #[arg(short, long, value_name = "URL")]
    pub upstream: Option<String>,
    /// The file to write, which must not be there yet; "-" is standard output. On a terminal it is asked for, and else standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Where the backend has its OpenAPI document (JSON or YAML), in place of the usual paths
    #[arg(long, value_name = "PATH")]
    pub openapi: Option<String>,
    /// A PEM file with the authorities that the backend's certificate is from, in place of the system's
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Another path to look at; may be given several times
    #[arg(long = "path", value_name = "PATH")]
    pub paths: Vec<String>,
}

impl Init {
    /// Looks at the backend and writes the file: exit code 1 where there is no backend, or a file already.
    pub fn run(&self) -> ExitCode {
        match self.written() {
            Ok(code) => code,
            Err(sentence) => {
                eprintln!("error: {sentence}");
                ExitCode::FAILURE
            }
        }
    }

    fn written(&self) -> Result<ExitCode, String> {
        let upstream = match &self.upstream {
            Some(upstream) => upstream.clone(),
            None => question::upstream()?,
        };
        if let Err(report) = usable(&upstream) {
            report.print();
            return Ok(ExitCode::FAILURE);
        }
        let url: UpstreamUrl = upstream.parse().map_err(|_| "this is no URL of an upstream".to_owned())?;
        if let Some(path) = self.openapi.iter().chain(&self.paths).find(|path| !path.starts_with('/')) {
            return Err(format!("`{path}` is not a path on the backend\n  hint: it begins with a slash, like /api/v1/books"));
        }
        let file = match &self.output {
            Some(file) => Some(file.clone()).filter(|file| file.as_os_str() != "-"),
            None => question::file()?,
        };
        // Before the backend is asked for anything: the answers would be thrown away.
        file.as_deref().map_or(Ok(()), free)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
        let survey = runtime.block_on(self.survey(&url))?;
        let text = survey.draft();
        let shown = file.as_deref().map_or("standard output".to_owned(), |file| file.display().to_string());
        let Some(file) = file else {
            put(&text)?;
            return Ok(told(&shown, &text));
        };
        create(&file, &text)?;
        let code = told(&shown, &text);
        eprintln!("next:\n  larder check --config {shown}\n  larder serve --config {shown}");
        Ok(code)
    }

    /// Asks the backend for its document, and for samples.
    async fn survey(&self, url: &UpstreamUrl) -> Result<Survey, String> {
        let authorities = self.ca_file.as_deref().map(Authorities::load).transpose().map_err(|error| error.to_string())?;
        let backend = Backend::new(url, authorities.as_ref())?;
        let api = self.document(&backend, url.base_path()).await?;
        let mut survey = Survey::new(&url.to_string(), api, &self.paths);
        if let Some(file) = &self.ca_file {
            // The configuration may be read from another folder.
            let file = std::path::absolute(file).map_err(|error| error.to_string())?;
            survey.trust(&file.to_string_lossy());
        }
        let (mut answers, mut failures) = (backend.answers(), 0);
        let mut last = None;
        let asked = async {
            while let Some(target) = survey.next_target() {
                let answer = backend.sample(&target, MAX_SAMPLE).await;
                match &answer {
                    Ok(_) => answers += 1,
                    Err(error) => (failures, last) = (failures + 1, Some(error.clone())),
                }
                survey.answered(&target, answer);
                if answers == 0 && failures >= ATTEMPTS {
                    return;
                }
            }
        };
        if tokio::time::timeout(LOOKING, asked).await.is_err() {
            eprintln!("larder: not everything was looked at within {} s", LOOKING.as_secs());
        }
        match last {
            Some(error) if answers == 0 => Err(away(url, &error)),
            last => {
                let (answered, asked) = survey.samples();
                let why = last.map(|error| format!("; the last failure: {}", visible(&error))).unwrap_or_default();
                eprintln!("larder: looked at {url}: {answered} of {asked} samples were answered{why}");
                if !survey.leads_on() {
                    eprintln!("larder: nothing leads on from /: name what to look at with --path /api/v1/books");
                }
                if let Some(location) = survey.elsewhere() {
                    eprintln!("larder: it redirects to {}: is that the backend that was meant?", visible(location));
                }
                Ok(survey)
            }
        }
    }

    /// The first document that is one. `Err`: the backend is away, or has none where it was said to be.
    async fn document(&self, backend: &Backend, base: &str) -> Result<Option<Api>, String> {
        let paths: Vec<&str> = self.openapi.as_deref().map_or(DOCUMENTS.to_vec(), |path| vec![path]);
        let mut failures = 0;
        for path in paths {
            let read = match backend.whole(path, MAX_DOCUMENT).await {
                Ok(body) => Api::read(&body, base).map_err(|error| error.to_string()),
                Err(error) => {
                    failures += 1;
                    if backend.answers() == 0 && failures >= ATTEMPTS {
                        return Err(away(backend.url(), &error));
                    }
                    Err(error)
                }
            };
            match read {
                Ok(api) => {
                    eprintln!("larder: {path} describes {} operations", api.operations());
                    return Ok(Some(api));
                }
                Err(error) if self.openapi.is_some() => {
                    return Err(format!("{path} is not usable as an OpenAPI document: {}", visible(&error)));
                }
                Err(error) if backend::is_worth_telling(&error) => eprintln!("larder: {path}: {}", visible(&error)),
                Err(_) => {}
            }
        }
        eprintln!("larder: no OpenAPI document in the usual places (--openapi PATH names another), so links lead on from /");
        Ok(None)
    }
}

/// Whether this is a backend's URL. The reader of the configuration has the words for what may be wrong with it; it reads it with any free ports for
/// listeners, since the file gets others than the backend's.
fn usable(upstream: &str) -> Result<(), Report> {
    let anywhere = Some("127.0.0.1:0");
    config::from_flags(upstream, None, &Overrides::default().with_flags(anywhere, anywhere)).map(|_| ())
}

fn away(url: &UpstreamUrl, error: &str) -> String {
    format!("no answer from {url}: {}\n  hint: is the backend running, and is the port right?", visible(error))
}

/// That nothing is in this place, and something could be.
fn free(file: &Path) -> Result<(), String> {
    if file.symlink_metadata().is_ok() {
        return Err(format!("{} is there already, and is not overwritten\n  hint: name another file with --output", file.display()));
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !folder.is_dir() => Err(format!("there is no folder {} to write {} in", folder.display(), file.display())),
        _ => Ok(()),
    }
}

/// Writes a file that must not be there: nothing that appeared meanwhile is overwritten.
fn create(file: &Path, text: &str) -> Result<(), String> {
    let mut created = std::fs::File::create_new(file).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    created.write_all(text.as_bytes()).map_err(|error| format!("cannot write {}: {error}", file.display()))
}

/// Says what was written, as the reader of configurations sees it.
fn told(shown: &str, text: &str) -> ExitCode {
    match config::parse(shown, text.as_bytes(), &Overrides::default()) {
        Ok((config, warnings)) => {
            warnings.print();
            let plural = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
            let (routes, rules) = (plural(config.routes.len(), "route"), plural(config.on_write.len(), "rule"));
            eprintln!("larder: wrote {shown}: {routes}, {rules} for writes");
            ExitCode::SUCCESS
        }
        Err(report) => {
            Report::print(&report);
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_on_the_usual_ports_of_larder_has_a_configuration_with_others() {
        for url in ["http://127.0.0.1:8080", "http://127.0.0.1:8090"] {
            assert!(usable(url).is_ok(), "{url}");
            let text = Survey::new(url, None, &[]).draft();
            assert!(config::parse("larder.toml", text.as_bytes(), &Overrides::default()).is_ok(), "{text}");
        }
        assert!(usable("127.0.0.1:8080").is_err());
    }
}
