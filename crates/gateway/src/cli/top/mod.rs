//! `larder top`: a live screen.
//!
//! ```text
//! keys, every two seconds --> data (what the admin listener says) --> screen (lines of text, pure) --> terminal
//! ```

mod data;
mod screen;
mod terminal;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use super::admin_client::AdminFlags;
use data::Data;
use screen::{Page, View};
use terminal::Terminal;

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(2);

/// `larder top`
#[derive(Debug, Args)]
pub struct Top {
    /// The gateway.
    #[command(flatten)]
    pub gateway: AdminFlags,
}

impl Top {
    /// Shows it until `q`. With `--json` it is printed once.
    pub fn run(&self) -> ExitCode {
        if self.gateway.json {
            return self.gateway.run(async {
                let data = Data::fetch(&self.gateway).await?;
                Ok(format!(
                    "{:#}",
                    json!({ "stats": data.stats, "last": data.last, "upstreams": data.upstreams, "urls": data.urls,
                    "replicas": data.replicas, "alerts": data.alerts })
                ))
            });
        }
        if !std::io::stdout().is_terminal() {
            eprintln!("error: this needs a terminal\n  hint: `larder stats` prints once, and so does --json");
            return ExitCode::FAILURE;
        }
        self.gateway.run(self.watch())
    }

    async fn watch(&self) -> Result<String, String> {
        // What is wrong from the beginning is said on the usual screen.
        let mut data = Data::fetch(&self.gateway).await?;
        let (mut terminal, mut view) = (Terminal::open().map_err(|error| error.to_string())?, View::default());
        let mut keys = terminal.keys();
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            terminal.draw(|width, height| screen::lines(&data, &mut view, width, height)).map_err(|error| error.to_string())?;
            tokio::select! {
                event = keys.recv() => match event {
                    Some(Event::Key(key)) if ends(&key) => return Ok(String::new()),
                    Some(Event::Key(key)) if key.kind != KeyEventKind::Release => pressed(&mut view, key.code),
                    Some(_) => {}
                    None => return Err("the terminal is gone".to_owned()),
                },
                _ = ticks.tick(), if !view.paused => match Data::fetch(&self.gateway).await {
                    Ok(fresh) => data = fresh,
                    // It goes on asking: a gateway that restarts is back in a moment.
                    Err(problem) => data.problem = problem.lines().next().map(str::to_owned),
                },
            }
        }
    }
}

/// Raw mode keeps Ctrl-C from being a signal.
fn ends(key: &KeyEvent) -> bool {
    matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) || key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL)
}

fn pressed(view: &mut View, key: KeyCode) {
    match key {
        KeyCode::Char('p' | ' ') => view.paused = !view.paused,
        KeyCode::Char('?' | 'h') => view.help = !view.help,
        KeyCode::Char('s') => view.sort = view.sort.wrapping_add(1),
        KeyCode::Char(digit @ '1'..='9') => {
            if let Some(page) = Page::ALL.get(digit as usize - '1' as usize) {
                view.turn_to(*page);
            }
        }
        KeyCode::Tab | KeyCode::Right => view.turn(1),
        KeyCode::BackTab | KeyCode::Left => view.turn(Page::ALL.len() - 1),
        KeyCode::Down => view.scrolled = view.scrolled.saturating_add(1),
        KeyCode::Up => view.scrolled = view.scrolled.saturating_sub(1),
        KeyCode::Home => view.scrolled = 0,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_change_the_view_and_end_it() {
        let mut view = View::default();
        for key in [KeyCode::Char('3'), KeyCode::Down, KeyCode::Char('p'), KeyCode::Char('s'), KeyCode::Char('?')] {
            pressed(&mut view, key);
        }
        assert_eq!((view.page, view.scrolled, view.paused, view.sort, view.help), (Page::ALL[2], 1, true, 1, true));
        pressed(&mut view, KeyCode::Tab);
        assert_eq!((view.page, view.scrolled), (Page::ALL[3], 0), "another page begins at its top");
        (0..Page::ALL.len()).for_each(|_| pressed(&mut view, KeyCode::BackTab));
        assert_eq!(view.page, Page::ALL[3]);
        let with = |code, modifiers| ends(&KeyEvent::new(code, modifiers));
        assert!(with(KeyCode::Char('q'), KeyModifiers::NONE) && with(KeyCode::Char('c'), KeyModifiers::CONTROL));
        assert!(!with(KeyCode::Char('c'), KeyModifiers::NONE));
    }
}
