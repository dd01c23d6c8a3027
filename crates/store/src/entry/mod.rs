//! Stored representations as memory holds them: complete responses, parts of responses, bodies, recordings of streams, and the maps of field names that heads share.
//!
//! ```text
//! StoredResponse (response) --- head over a shape (shapes)
//!        |                 \--- a short body in its own block, a longer one as StoredBody (body), or one in fewer bytes (packed)
//! StoredPart (partial) -------- pieces of a body; a StoredResponse once none is missing
//! ```

mod body;
#[cfg(test)]
pub(crate) mod fixtures;
mod packed;
mod partial;
mod recording;
mod response;
mod shapes;

pub use body::{BodyBuilder, SEGMENT, StoredBody};
pub use packed::{BodyCodec, BodyPacking, PackedBody, PackingStats};
pub use partial::StoredPart;
pub use recording::{RecordedPiece, Recorder, Recording};
pub(crate) use response::MAX_USES;
pub use response::{StoredResponse, Variant};
pub use shapes::shapes_weight;
