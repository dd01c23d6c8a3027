//! Requests as they happen, and the last ones, for people who look.
//!
//! As long as nobody looks and the last ones are not kept, a request costs one load of a flag. Otherwise its facts are copied when its head is read,
//! and handed out when its response's head is ready: no request waits for anybody who looks.
//!
//! ```text
//! Observers::begin ─> Happening::ended ─> a queue for each tail (bounded; what it does not take is counted as lost)
//!  (head read)         (head ready)    ├> Recent: the last requests (bounded in number and bytes)
//!                                      ├> Counting: URLs by what is asked of them (while somebody looks)
//!                                      └> HotList: URLs that are asked for most (while a job needs them; a sample)
//! ```

mod busiest;
mod filter;
mod happening;
mod hot;
mod observers;
mod space_saving;

pub use busiest::{Busiest, UrlCount, UrlRecord};
pub use filter::TailFilter;
pub use happening::{Happened, Happening};
pub use hot::HotUrl;
pub use observers::{MAX_TAILS, Observers, Subscription};
