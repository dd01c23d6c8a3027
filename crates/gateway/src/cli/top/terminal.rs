//! The terminal: a screen of its own, keys as they are pressed, and everything as it was before in the end.

use std::io::{self, Stdout, Write};

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{self, Event};
use crossterm::style::{Attribute, Print, SetAttribute};
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode, size,
};
use crossterm::{execute, queue};
use tokio::sync::mpsc;

use super::screen::Line;

/// The terminal, until it is dropped.
pub(super) struct Terminal(Stdout);

impl Terminal {
    pub(super) fn open() -> io::Result<Self> {
        enable_raw_mode()?;
        // From here on it is given back whatever happens.
        let mut terminal = Self(io::stdout());
        execute!(terminal.0, EnterAlternateScreen, Hide)?;
        Ok(terminal)
    }

    /// Keys and changes of size, read by a thread of their own, which ends with the process.
    pub(super) fn keys(&self) -> mpsc::UnboundedReceiver<Event> {
        let (sender, receiver) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            while let Ok(event) = event::read() {
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        receiver
    }

    /// Draws all lines that there is room for.
    pub(super) fn draw(&mut self, lines: impl FnOnce(usize, usize) -> Vec<Line>) -> io::Result<()> {
        let (width, height) = size()?;
        let lines = lines(usize::from(width), usize::from(height));
        queue!(self.0, BeginSynchronizedUpdate)?;
        for (row, line) in (0..height).zip(lines.iter().map(Some).chain(std::iter::repeat(None))) {
            queue!(self.0, MoveTo(0, row), Clear(ClearType::CurrentLine))?;
            let Some(line) = line else { continue };
            let attribute = if line.strong { Attribute::Bold } else { Attribute::Reset };
            queue!(self.0, SetAttribute(attribute), Print(&line.text), SetAttribute(Attribute::Reset))?;
        }
        queue!(self.0, EndSynchronizedUpdate)?;
        self.0.flush()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Nothing more can be done where the terminal is gone.
        let _ = execute!(self.0, Show, LeaveAlternateScreen);
        let _ = disable_raw_mode();
    }
}
