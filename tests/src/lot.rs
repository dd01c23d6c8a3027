//! Numbers that look drawn by lot, the same in every run.

/// A generator (xorshift) that begins with this number, which is not 0.
#[derive(Clone, Debug)]
pub struct Lot(pub u64);

impl Lot {
    /// A number below this.
    pub fn below(&mut self, max: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % max as u64) as usize
    }

    /// One of these.
    pub fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}
