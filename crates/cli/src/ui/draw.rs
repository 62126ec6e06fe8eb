//! Draws the state of `hb ui`: above what `hb status` shows, below what has happened, over both what
//! a person is asked or told, and at the bottom the keys. It decides nothing; it tells how far each
//! part could be scrolled.

use hb_node::api::{EntryKind, HistoryEntry};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style as Paint};
use ratatui::symbols::border;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

use super::state::{Extents, Mode, Pane, State, Tone};
use super::text::{self, lines_of};
use super::wrap::wrapped;
use crate::history::line;
use crate::status::{Style, age};

/// Smaller than this (columns, lines) there is no room for a plan that one could agree to.
pub(super) const SMALLEST: (u16, u16) = (60, 20);
/// Lines that events get at least, with the line above them.
const EVENTS_MIN: u16 = 6;
/// Events that can be scrolled through; `hb history` has all.
const EVENTS_MAX: usize = 500;
/// For so long a missing answer is not worth a word.
const SILENCE_MS: u64 = 2_000;

/// A frame of ASCII.
const ASCII: border::Set<'static> = border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};

/// What the terminal can show, and how a moment is written.
pub(super) struct Look<'a> {
    pub(super) style: Style,
    /// Unix time in milliseconds as people read it.
    pub(super) clock: &'a dyn Fn(u64) -> String,
}

impl Look<'_> {
    fn paint(&self, colour: Color) -> Paint {
        if self.style.colour { Paint::new().fg(colour) } else { Paint::new() }
    }

    fn rule(&self) -> &'static str {
        if self.style.symbols { "─" } else { "-" }
    }
}

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame<'_>, state: &State, look: &Look<'_>) -> Extents {
    let area = frame.area();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        frame.render_widget(Paragraph::new(small(state, area)), area);
        return Extents { small: true, ..Extents::default() };
    }
    let width = usize::from(area.width);
    let (above, keys) = split(area, area.height - 1);
    frame.render_widget(Paragraph::new(keys_line(state, width)), keys);
    let dialog = dialog(state, width.saturating_sub(4));
    let height = dialog.as_ref().map_or(0, |dialog| {
        let wanted = u16::try_from(dialog.lines.len()).unwrap_or(u16::MAX).saturating_add(2);
        wanted.clamp(3, above.height * 3 / 4)
    });
    let (above, below) = split(above, above.height - height);
    let mut extents = panes(frame, above, state, look, dialog.is_some());
    if let Some(dialog) = dialog {
        (extents.dialog, extents.page) = dialog.draw(frame, below, state, look);
    }
    extents
}

/// The upper `height` lines, and the rest.
fn split(area: Rect, height: u16) -> (Rect, Rect) {
    let height = height.min(area.height);
    let below = Rect { y: area.y + height, height: area.height - height, ..area };
    (Rect { height, ..area }, below)
}

/// What fits wherever there is no room for the rest, and what the rest is.
fn small(state: &State, area: Rect) -> Vec<Line<'static>> {
    let (columns, lines) = SMALLEST;
    let mut text = state.known.as_ref().map(crate::status::oneline).unwrap_or_default();
    text += &format!(
        "This terminal has {}x{}. Nodes, links, groups, events and keys need {columns}x{lines}: \
         make it larger. q leaves.\n",
        area.width, area.height
    );
    wrapped(&lines_of(&text), usize::from(area.width))
}

/// The status and the events.
fn panes(
    frame: &mut Frame<'_>,
    area: Rect,
    state: &State,
    look: &Look<'_>,
    covered: bool,
) -> Extents {
    let width = usize::from(area.width);
    let status = status_lines(state, look, width);
    let least = if covered { 0 } else { EVENTS_MIN };
    let wanted = u16::try_from(status.len()).unwrap_or(u16::MAX);
    let (upper, rest) = split(area, wanted.min(area.height.saturating_sub(least)));
    let (rule, lower) = split(rest, 1);
    let events = event_lines(&state.past, look, width);
    let shown = usize::from(lower.height);
    let mut extents = Extents {
        status: status.len().saturating_sub(usize::from(upper.height)),
        events: events.len().saturating_sub(shown),
        ..Extents::default()
    };
    extents.page = match state.focus {
        Pane::Status => usize::from(upper.height),
        Pane::Events => shown,
    };
    let top = state.status_top.min(extents.status);
    show(frame, upper, &status, top);
    let below = state.events_below.min(extents.events);
    show(frame, lower, &events, extents.events - below);
    let hidden = (top, extents.status - top, below);
    frame.render_widget(Paragraph::new(rule_line(state, look, width, hidden)), rule);
    extents
}

fn show(frame: &mut Frame<'_>, area: Rect, lines: &[Line<'static>], top: usize) {
    let shown = lines.iter().skip(top).take(usize::from(area.height)).cloned().collect::<Vec<_>>();
    frame.render_widget(Paragraph::new(shown), area);
}

/// What `hb status` shows, and when it is not of this moment, that first.
fn status_lines(state: &State, look: &Look<'_>, width: usize) -> Vec<Line<'static>> {
    let Some(known) = &state.known else { return vec![Line::from("asking heartbeat …")] };
    let page = crate::status::page(known, look.style, look.clock);
    let mut lines = Vec::new();
    let silent_ms = state.silent_ms();
    if silent_ms > SILENCE_MS {
        let text = format!("NO ANSWER for {}: what follows is so old", age(silent_ms));
        lines.push(Line::styled(text, Paint::new().add_modifier(Modifier::REVERSED)));
    }
    lines.extend(lines_of(&page.unwrap_or_else(|nothing| nothing)));
    wrapped(&lines, width)
}

/// The last events, oldest first.
fn event_lines(past: &[HistoryEntry], look: &Look<'_>, width: usize) -> Vec<Line<'static>> {
    let earlier = past.len().saturating_sub(EVENTS_MAX);
    let mut lines = Vec::new();
    if earlier > 0 {
        lines.push(Line::from(format!("{earlier} earlier events: hb history")));
    }
    for entry in past.iter().skip(earlier) {
        let text = line::line(entry, &(look.clock)(entry.at_ms()), look.style.symbols);
        lines.push(Line::styled(text, event_paint(entry, look)));
    }
    wrapped(&lines, width)
}

fn event_paint(entry: &HistoryEntry, look: &Look<'_>) -> Paint {
    let failed = matches!(entry.what.as_str(), "failed" | "blocked" | "dead" | "lost");
    if failed {
        return look.paint(Color::Yellow);
    }
    match entry.kind {
        EntryKind::Split => look.paint(Color::Red).add_modifier(Modifier::BOLD),
        EntryKind::Move => Paint::new().add_modifier(Modifier::BOLD),
        EntryKind::Fence => look.paint(Color::Magenta),
        EntryKind::Maintenance => look.paint(Color::Cyan),
        EntryKind::Node | EntryKind::Failure => Paint::new(),
    }
}

/// Between status and events: what is not to be seen of them.
fn rule_line(
    state: &State,
    look: &Look<'_>,
    width: usize,
    (above, below, later): (usize, usize, usize),
) -> Line<'static> {
    let mark = |pane| if state.focus == pane { "*" } else { " " };
    let mut text = format!("{0}{0}{1}events", look.rule(), mark(Pane::Events));
    if later > 0 {
        text += &format!(", {later} later lines: End");
    }
    text += " ";
    let hidden = match (above, below) {
        (0, 0) => String::new(),
        (0, below) => format!("{below} more lines of status below"),
        (above, 0) => format!("{above} more lines of status above"),
        (above, below) => format!("{above} more lines of status above, {below} below"),
    };
    let tail = match (hidden.is_empty(), state.focus) {
        (true, _) => String::new(),
        (false, Pane::Events) => format!(" {hidden}: Tab "),
        (false, Pane::Status) => format!("{}{hidden} ", mark(Pane::Status)),
    };
    let used = Span::raw(text.as_str()).width() + Span::raw(tail.as_str()).width();
    text += &look.rule().repeat(width.saturating_sub(used));
    Line::styled(text + &tail, Paint::new().add_modifier(Modifier::DIM))
}

/// The keys that mean something at this moment, as many words as there is room for.
fn keys_line(state: &State, width: usize) -> Line<'static> {
    let (long, short) = match &state.mode {
        Mode::Watch => (
            "s standby  t takeover  m maintenance  c cleanup  w why  p plan  ? help  q quit",
            "s standby t takeover m maint. c clean w why p plan ? q quit",
        ),
        Mode::Menu(_) => ("arrows choose   Enter takes it   Esc back", ""),
        Mode::Waiting { .. } => ("Esc back   ^C quit", ""),
        Mode::Ask { .. } => ("y do it   n no   arrows scroll", ""),
        Mode::Acting { .. } => ("q leaves: what is under way goes on", ""),
        Mode::Page { .. } => ("Enter closes   arrows scroll", ""),
    };
    let text = if long.len() <= width { long } else { short };
    Line::styled(format!("{text:<width$}"), Paint::new().add_modifier(Modifier::REVERSED))
}

/// What is asked or told.
struct Dialog {
    title: String,
    lines: Vec<Line<'static>>,
    colour: Color,
    /// The line that has to be seen.
    marked: Option<usize>,
}

fn dialog(state: &State, width: usize) -> Option<Dialog> {
    let plain = |text: &str| wrapped(&lines_of(text), width);
    let new = |title: &str, lines, colour| {
        Some(Dialog { title: title.to_owned(), lines, colour, marked: None })
    };
    match &state.mode {
        Mode::Watch => None,
        Mode::Menu(menu) => {
            let line = |(index, (text, _)): (usize, &(String, _))| {
                let marked = index == menu.at;
                let text: String = format!("{} {text}", if marked { ">" } else { " " });
                let shown: String = text.chars().take(width).collect();
                let paint = Paint::new();
                let reversed = paint.add_modifier(Modifier::REVERSED);
                Line::styled(shown, if marked { reversed } else { paint })
            };
            let lines = menu.items.iter().enumerate().map(line).collect();
            let title = menu.title.to_owned();
            Some(Dialog { title, lines, colour: Color::Cyan, marked: Some(menu.at) })
        }
        Mode::Waiting { title, .. } => new(title, plain("planning …"), Color::Cyan),
        Mode::Ask { action, text, .. } => {
            let title = format!("do it? y/n   {}", action.words());
            new(&title, plain(text), Color::Yellow)
        }
        Mode::Acting { action, since_ms, .. } => {
            let title = action.words();
            let took = state.now_ms.saturating_sub(*since_ms);
            new(&title, plain(&text::progress(state.snapshot(), took)), Color::Cyan)
        }
        Mode::Page { title, text, tone } => {
            let colour = match tone {
                Tone::Plain => Color::Cyan,
                Tone::Done => Color::Green,
                Tone::Refused => Color::Red,
            };
            new(title, plain(text), colour)
        }
    }
}

impl Dialog {
    /// Draws it; how far it can be scrolled, and its height.
    fn draw(
        &self,
        frame: &mut Frame<'_>,
        area: Rect,
        state: &State,
        look: &Look<'_>,
    ) -> (usize, usize) {
        let room = usize::from(area.height.saturating_sub(2));
        let most = self.lines.len().saturating_sub(room);
        let top = match self.marked {
            Some(at) => (at + 1).saturating_sub(room),
            None => state.dialog_top.min(most),
        };
        let hidden = match (top, most.saturating_sub(top)) {
            (0, 0) => String::new(),
            (above, 0) => format!(" {above} more lines above "),
            (_, below) => format!(" {below} more lines below: arrows, PgDn "),
        };
        let set = if look.style.symbols { border::PLAIN } else { ASCII };
        let title = format!(" {} ", self.title);
        let paint = look.paint(self.colour);
        let block = Block::bordered()
            .border_set(set)
            .border_style(paint)
            .title(Line::styled(title, paint.add_modifier(Modifier::BOLD)))
            .title_bottom(Line::from(hidden).right_aligned());
        let inner = block.inner(area);
        frame.render_widget(Clear, area);
        frame.render_widget(block, area);
        let text = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
        show(frame, text, &self.lines, top);
        (most, room)
    }
}

#[cfg(test)]
mod tests;
