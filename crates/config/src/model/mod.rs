//! The configuration once everything in it is known to be right: plain data, defaults filled in, inheritance resolved.
//!
//! A value with a text form of its own (an address, a path, a tag, the URL of an upstream) is read here as well, as by `FromStr`; what is
//! read from tables is not known here.

mod acme;
mod clients;
mod config;
mod key_name;
pub(crate) mod listen;
mod listener;
mod operating;
pub(crate) mod path;
mod prices;
mod proof;
pub(crate) mod purging;
mod read_file;
mod route;
mod server;
mod server_options;
mod spending;
mod token;
mod upstreams;
mod warm;

pub use acme::{Acme, AcmeChallenge, AcmeStoreKind};
pub use clients::{Amount, JwksUrl, JwtAuth, JwtKeys, LimitCount, LimitKey, LimitOver, Period, PeriodWindow, QuotaPart, RateLimit};
pub use config::{Config, MemoryStore};
pub use key_name::{KeyNameTemplate, NAME_TAG, NamePart};
pub use listen::{Listen, ListenKind, Origin};
pub use listener::{Listener, ProxyProtocol, Redirect, SocketFile, Tls};
pub use operating::{AccessLog, AlertKind, Alerts, Log, LogCondition, LogField, LogLevel, LogPiece, LogSample, TraceLink, Traces, Webhook};
pub use path::PathTemplate;
pub use prices::{Price, Prices};
pub use proof::{
    FieldExpectation, OnLeak, PurgeWord, Test, TestAction, TestAnswer, TestContent, TestEvent, TestExpectations, TestFailure, TestFile,
    TestRequest, TestResult, TestStep, Verify, VerifyMode,
};
pub use purging::{OnEvent, OnWrite, Purge, PurgeTemplate, ResponseTags, TagPart, TagTemplate};
pub use read_file::ReadFile;
pub use route::{ClientControls, Compress, FarTier, OddPaths, Rate, RequestMatch, Route, RouteSettings};
pub use server::{Admin, Server};
pub use server_options::ServerOptions;
pub use spending::Spending;
pub use token::{Token, TokenScope};
pub use upstreams::{
    Balance, BreakerLimit, Eject, HashKey, HashPart, HealthCheck, InvalidUpstreamUrl, KeySpan, Limit, PerMille, Resolve, Retry,
    RetryMethods, RetryOn, Upstream, UpstreamServer, UpstreamUrl,
};
pub use warm::{TimeOfDay, WarmBase, WarmJob, WarmList, WarmSource};
