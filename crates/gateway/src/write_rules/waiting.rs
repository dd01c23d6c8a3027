//! Templates that wait for what bodies tell.

use std::sync::Arc;

use http::request::Parts;
use larder_semantics::content::Operation;
use larder_store::InvalidationTarget;
use larder_tower::{BodyInvalidation, JsonFields, Refetch};

use super::url_base::UrlBase;
use crate::config::PurgeTemplate;
use crate::routing::tagging::Values;

/// Templates with members of JSON bodies in them, of one write.
#[derive(Debug)]
pub(super) struct Waiting {
    templates: Vec<WaitingTemplate>,
    request: Parts,
    base: UrlBase,
    in_request: Vec<String>,
    in_response: Vec<String>,
    refresh: bool,
}

#[derive(Debug)]
pub(super) struct WaitingTemplate {
    pub(super) template: PurgeTemplate,
    /// The captures of its rule's path.
    pub(super) captures: Arc<[String]>,
    /// The operation that its variables are of.
    pub(super) operation: Option<Operation>,
}

/// Whether a template has members of bodies in it.
pub(super) fn waits(template: &PurgeTemplate) -> bool {
    members(template).any(|_| true)
}

/// The names of a template's members: of the request, and of the answer.
fn members(template: &PurgeTemplate) -> impl Iterator<Item = (Body, &String)> {
    template.template().into_iter().flat_map(|template| {
        let (request, response) = template.members();
        request.map(|name| (Body::Request, name)).chain(response.map(|name| (Body::Response, name)))
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    Request,
    Response,
}

impl Waiting {
    pub(super) fn new(templates: Vec<WaitingTemplate>, request: Parts, base: UrlBase, refresh: bool) -> Self {
        let names = |body: Body| -> Vec<String> {
            let members = templates.iter().flat_map(|waiting| members(&waiting.template));
            members.filter(|(of, _)| *of == body).map(|(_, name)| name.clone()).collect()
        };
        let (in_request, in_response) = (names(Body::Request), names(Body::Response));
        Self { templates, request, base, in_request, in_response, refresh }
    }
}

impl BodyInvalidation for Waiting {
    fn in_request(&self) -> &[String] {
        &self.in_request
    }

    fn in_response(&self) -> &[String] {
        &self.in_response
    }

    fn targets(&self, request: &JsonFields, response: &JsonFields) -> Vec<InvalidationTarget> {
        let targets = self.templates.iter().flat_map(|WaitingTemplate { template, captures, operation }| {
            let captures: Vec<&str> = captures.iter().map(String::as_str).collect();
            let values = Values {
                request: Some(&self.request),
                operation: operation.as_ref(),
                captures: &captures,
                request_json: Some(request),
                response_json: Some(response),
                in_lower_case: false,
            };
            self.base.targets(template, values)
        });
        targets.collect()
    }

    fn refetch(&self, old: &[InvalidationTarget]) -> Vec<Refetch> {
        if self.refresh { self.base.refetch(&self.request, old) } else { Vec::new() }
    }
}
