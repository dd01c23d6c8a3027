//! Rules for `[store]`: the text, and the complaint with its place and hint.

mod disk;
mod memory;
mod redis;
mod tiers;
