//! The terminal of `hb ui` (I/O): taken over, and given back however this process ends; keys as
//! [`Key`]s.

use std::io::{self, Stdout, stdout};
use std::panic;
use std::thread;

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::{Frame, Terminal};
use tokio::sync::mpsc::Sender;

use super::state::{Event, Extents, Key};

/// The terminal while it is ours. Dropped, it is given back.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    /// Takes the terminal over. A panic of any thread gives it back before it is told.
    ///
    /// # Errors
    /// When it is no terminal, or has gone.
    pub(super) fn open() -> io::Result<Self> {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            restore();
            before(panic);
        }));
        let terminal = Terminal::new(CrosstermBackend::new(stdout()))?;
        let mut screen = Self { terminal };
        screen.enter()?;
        Ok(screen)
    }

    /// Takes it over again and draws everything anew.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(super) fn enter(&mut self) -> io::Result<()> {
        enable_raw_mode()?;
        execute!(stdout(), EnterAlternateScreen)?;
        self.terminal.hide_cursor()?;
        // `clear` would ask the terminal where its cursor is, and the thread that reads keys takes the
        // answer.
        let size = self.terminal.size()?;
        self.terminal.resize(size.into())
    }

    /// Gives it back for a while.
    pub(super) fn leave(&mut self) {
        restore();
    }

    /// Draws; only what differs is written.
    ///
    /// # Errors
    /// When the terminal has gone.
    pub(super) fn draw(
        &mut self,
        draw: impl FnOnce(&mut Frame<'_>) -> Extents,
    ) -> io::Result<Extents> {
        let mut extents = Extents::default();
        self.terminal.draw(|frame| extents = draw(frame))?;
        Ok(extents)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// As it was found. When the terminal has gone there is nobody to tell.
fn restore() {
    let _ = disable_raw_mode();
    let _ = execute!(stdout(), LeaveAlternateScreen, Show);
}

/// Passes on what is pressed, until the terminal or the reader of `keys` has gone; that is told as
/// `None`.
///
/// # Errors
/// When there can be no further thread.
pub(super) fn read_keys(keys: Sender<Option<Event>>) -> io::Result<()> {
    let read = move || {
        loop {
            let told = match event::read() {
                Ok(event::Event::Key(pressed)) => match key(pressed) {
                    Some(key) => Some(Event::Key(key)),
                    None => continue,
                },
                // Any event has the screen drawn, with the size that it has by then.
                Ok(event::Event::Resize(..)) => Some(Event::Resized),
                Ok(
                    event::Event::FocusGained
                    | event::Event::FocusLost
                    | event::Event::Mouse(_)
                    | event::Event::Paste(_),
                ) => continue,
                Err(_) => None,
            };
            let is_end = told.is_none();
            if keys.blocking_send(told).is_err() || is_end {
                return;
            }
        }
    };
    thread::Builder::new().name("keys".to_owned()).spawn(read).map(drop)
}

/// What a key means; `None`: nothing.
fn key(pressed: KeyEvent) -> Option<Key> {
    if pressed.kind == KeyEventKind::Release {
        return None;
    }
    let control = pressed.modifiers.contains(KeyModifiers::CONTROL);
    if let KeyCode::Char(letter) = pressed.code {
        return match (control, letter) {
            (false, letter) => Some(Key::Char(letter)),
            (true, 'c') => Some(Key::Interrupt),
            (true, 'z') => Some(Key::Suspend),
            (true, _) => None,
        };
    }
    let keys = [
        (KeyCode::Up, Key::Up),
        (KeyCode::Down, Key::Down),
        (KeyCode::PageUp, Key::PageUp),
        (KeyCode::PageDown, Key::PageDown),
        (KeyCode::Home, Key::Home),
        (KeyCode::End, Key::End),
        (KeyCode::Tab, Key::Tab),
        (KeyCode::Enter, Key::Enter),
        (KeyCode::Esc, Key::Escape),
    ];
    keys.into_iter().find(|(code, _)| *code == pressed.code).map(|(_, key)| key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_mean_what_stands_on_them() {
        let check = |code, modifiers, expect| {
            assert_eq!(key(KeyEvent::new(code, modifiers)), expect, "{code:?} {modifiers:?}");
        };
        let none = KeyModifiers::NONE;
        check(KeyCode::Char('s'), none, Some(Key::Char('s')));
        check(KeyCode::Char('Y'), KeyModifiers::SHIFT, Some(Key::Char('Y')));
        check(KeyCode::Char('c'), KeyModifiers::CONTROL, Some(Key::Interrupt));
        check(KeyCode::Char('z'), KeyModifiers::CONTROL, Some(Key::Suspend));
        check(KeyCode::Char('s'), KeyModifiers::CONTROL, None);
        check(KeyCode::PageDown, none, Some(Key::PageDown));
        check(KeyCode::F(1), none, None);
        let release = KeyEvent::new_with_kind(KeyCode::Enter, none, KeyEventKind::Release);
        assert_eq!(key(release), None, "a key is pressed once");
    }
}
