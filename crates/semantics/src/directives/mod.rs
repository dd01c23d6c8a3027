//! Cache directives: `Cache-Control` of requests and responses (RFC 9111 §5.2) and targeted fields (RFC 9213).

mod request;
mod response;
mod targeted;
mod tokenizer;

pub use request::RequestDirectives;
pub use response::{ResponseDirectives, Scoped};
pub use tokenizer::{Directive, Directives, parse_delta_seconds};
