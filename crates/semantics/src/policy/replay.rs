//! The pace at which stored streams are given again.

/// The pace at which a stream that was recorded is given again, piece by piece.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Replay {
    /// At once.
    #[default]
    Fast,
    /// As it arrived.
    Paced {
        /// How many times faster; 1 at least.
        speed: u16,
    },
}

impl Replay {
    /// The fastest pace that is not at once.
    pub const MAX_SPEED: u16 = 1000;

    /// The pace that a word names: `fast`, `real`, or how many times faster, like `x8`.
    pub fn of_word(word: &str) -> Option<Self> {
        let paced = |speed: u16| (1..=Self::MAX_SPEED).contains(&speed).then_some(Self::Paced { speed });
        match word {
            "fast" => Some(Self::Fast),
            "real" => paced(1),
            word => paced(word.strip_prefix('x').filter(|times| times.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()?),
        }
    }

    /// Milliseconds after which a piece is given that came after so many; `None`: at once.
    pub fn pause(self, millis: u64) -> Option<u64> {
        match self {
            Self::Fast => None,
            Self::Paced { speed } => Some(millis / u64::from(speed.max(1))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_has_a_word() {
        for (word, pace) in [
            ("fast", Some(Replay::Fast)),
            ("real", Some(Replay::Paced { speed: 1 })),
            ("x8", Some(Replay::Paced { speed: 8 })),
            ("x1000", Some(Replay::Paced { speed: 1000 })),
            ("x0", None),
            ("x1001", None),
            ("x+8", None),
            ("x", None),
            ("8", None),
            ("slow", None),
        ] {
            assert_eq!(Replay::of_word(word), pace, "{word}");
        }
        assert_eq!((Replay::Fast.pause(80), Replay::Paced { speed: 8 }.pause(80)), (None, Some(10)));
    }
}
