//! One direction of a coding: bytes in, bytes out, with the state between them.

use std::fmt;
use std::io;

use bytes::{Buf, Bytes};
use compression_codecs::brotli::params::EncoderParams;
use compression_codecs::core::Level;
use compression_codecs::core::util::{PartialBuffer, WriteBuffer};
use compression_codecs::zstd::params::{CParameter, DParameter};
use compression_codecs::{BrotliDecoder, BrotliEncoder, DecodeV2, EncodeV2, GzipDecoder, GzipEncoder, ZstdDecoder, ZstdEncoder};
use larder_semantics::coding::Coding;

/// How hard each coding tries. Beyond these a body takes several times as long for a few per cent.
const GZIP_LEVEL: i32 = 6;
const BROTLI_QUALITY: i32 = 4;
const ZSTD_LEVEL: i32 = 3;

/// Windows of what is packed, as powers of two: every answer under way holds one.
const WINDOW: u32 = 18;

/// The largest window that is unpacked: "decoders [...] SHOULD support window sizes of up to 8 MB" (RFC 9659 §3), and encoders must not use larger ones.
const MAX_ZSTD_WINDOW: u32 = 23;

/// Packs or unpacks.
pub(crate) enum Codec {
    Pack(Box<dyn EncodeV2 + Send>),
    Unpack { decoder: Box<dyn DecodeV2 + Send>, state: Unpacking },
}

/// What a decoder has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unpacking {
    /// Nothing yet.
    Untouched,
    /// The beginning of a stream, and not its end.
    Within,
    /// A whole stream. Another one may follow (RFC 1952 §2.2, RFC 8878 §3).
    Ended,
}

impl Codec {
    pub(crate) fn packing(coding: Coding) -> Self {
        Self::Pack(match coding {
            Coding::Gzip => Box::new(GzipEncoder::new(Level::Precise(GZIP_LEVEL).into())),
            Coding::Brotli => {
                let params = EncoderParams::default().quality(Level::Precise(BROTLI_QUALITY)).window_size(WINDOW as i32);
                Box::new(BrotliEncoder::new(params))
            }
            Coding::Zstd => Box::new(ZstdEncoder::new_with_params(ZSTD_LEVEL, &[CParameter::window_log(WINDOW)])),
        })
    }

    pub(crate) fn unpacking(coding: Coding) -> Self {
        let decoder: Box<dyn DecodeV2 + Send> = match coding {
            Coding::Gzip => Box::new(GzipDecoder::new()),
            Coding::Brotli => Box::new(BrotliDecoder::new()),
            Coding::Zstd => Box::new(ZstdDecoder::new_with_params(&[DParameter::window_log_max(MAX_ZSTD_WINDOW)])),
        };
        Self::Unpack { decoder, state: Unpacking::Untouched }
    }

    pub(crate) fn packs(&self) -> bool {
        matches!(self, Self::Pack(_))
    }

    /// Works on `input` until it is used up or `output` is full, and takes from `input` what was read.
    pub(crate) fn run(&mut self, input: &mut Bytes, output: &mut WriteBuffer<'_>) -> io::Result<()> {
        while !input.is_empty() && !output.has_no_spare_space() {
            let (mut part, before) = (PartialBuffer::new(&input[..]), output.written_len());
            match self {
                Self::Pack(encoder) => encoder.encode(&mut part, output)?,
                Self::Unpack { decoder, state } => {
                    if *state == Unpacking::Ended {
                        decoder.reinit()?;
                    }
                    *state = if decoder.decode(&mut part, output)? { Unpacking::Ended } else { Unpacking::Within };
                }
            }
            let read = part.written_len();
            if read == 0 && output.written_len() == before {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the coding goes no further"));
            }
            input.advance(read);
        }
        Ok(())
    }

    /// Writes what is held back so far, so that a reader gets all that has come. Tells whether that was all of it.
    pub(crate) fn flush(&mut self, output: &mut WriteBuffer<'_>) -> io::Result<bool> {
        match self {
            Self::Pack(encoder) => encoder.flush(output),
            Self::Unpack { state: Unpacking::Untouched | Unpacking::Ended, .. } => Ok(true),
            Self::Unpack { decoder, state } => {
                // What is left of the output did not fit before. Where nothing is, some decoders say that they got no further.
                let before = output.written_len();
                match decoder.decode(&mut PartialBuffer::new(&[][..]), output) {
                    Ok(true) => *state = Unpacking::Ended,
                    Ok(false) => {}
                    Err(_) if output.written_len() == before => {}
                    Err(error) => return Err(error),
                }
                Ok(!output.has_no_spare_space())
            }
        }
    }

    /// Writes the end of the stream. Tells whether that was all of it.
    ///
    /// # Errors
    /// The stream that was unpacked had no end: its body was cut.
    pub(crate) fn finish(&mut self, output: &mut WriteBuffer<'_>) -> io::Result<bool> {
        match self {
            Self::Pack(encoder) => encoder.finish(output),
            Self::Unpack { state: Unpacking::Within, .. } => Err(io::ErrorKind::UnexpectedEof.into()),
            // An empty body is no stream, but many servers name a coding for it.
            Self::Unpack { state: Unpacking::Untouched | Unpacking::Ended, .. } => Ok(true),
        }
    }
}

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pack(_) => "Pack",
            Self::Unpack { .. } => "Unpack",
        })
    }
}
