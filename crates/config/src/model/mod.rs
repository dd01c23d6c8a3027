//! The configuration once everything in it is known to be right: plain data, defaults filled in, inheritance resolved.
//!
//! A value with a text form of its own (an address, a path, a tag, the URL of an upstream) is read here as well, as by `FromStr`; what is
//! read from tables is not known here.

pub(crate) mod cascade;
mod config;
pub(crate) mod listen;
mod listener;
pub(crate) mod path;
mod purge;
mod read_file;
mod response_tags;
mod route;
mod server;
mod server_options;
pub(crate) mod tags;
mod token;
mod upstream;
pub(crate) mod upstream_url;
mod write;

pub use config::{Config, MemoryStore};
pub use listen::{Listen, Origin};
pub use listener::{Listener, ProxyProtocol, Redirect, Tls};
pub use path::PathTemplate;
pub use purge::Purge;
pub use read_file::ReadFile;
pub use response_tags::ResponseTags;
pub use route::{OddPaths, Route, RouteSettings};
pub use server::{AccessLog, Admin, Log, LogLevel, Server};
pub use server_options::ServerOptions;
pub use tags::{TagPart, TagTemplate};
pub use token::{Token, TokenScope};
pub use upstream::{BreakerLimit, Limit, Upstream};
pub use upstream_url::{InvalidUpstreamUrl, UpstreamUrl};
pub use write::{OnEvent, OnWrite, PurgeTemplate};
