//! Breaks lines of the screen at blanks so that nothing is lost on a narrow terminal; what goes on is
//! indented below. Values in, values out.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

/// Where the columns of the status begin: what goes on in a row of them stays beside its label.
const LABEL: usize = 15;
/// Further than the beginning of a line, what goes on of it.
const INDENT: usize = 2;

/// One character as it is drawn.
struct Cell {
    text: String,
    width: usize,
    style: Style,
}

impl Cell {
    fn is_blank(&self) -> bool {
        self.text == " "
    }
}

/// The lines, none wider than `width` columns.
pub(super) fn wrapped(lines: &[Line<'_>], width: usize) -> Vec<Line<'static>> {
    lines.iter().flat_map(|line| wrap(line, width.max(1))).collect()
}

fn wrap(line: &Line<'_>, width: usize) -> Vec<Line<'static>> {
    let cells: Vec<Cell> = line.styled_graphemes(Style::default()).map(|it| cell(&it)).collect();
    let is_row = is_row(&cells);
    let begin = cells.iter().take_while(|cell| cell.is_blank()).count();
    let indent = if is_row { LABEL } else { begin + INDENT }.min(width / 2);
    let mut out = Vec::new();
    let mut rest = cells.as_slice();
    loop {
        let lead = if out.is_empty() { 0 } else { indent };
        let (now, later) = rest.split_at(fitting(rest, width - lead, is_row));
        out.push(joined(lead, now));
        let skipped = later.iter().take_while(|cell| cell.is_blank()).count();
        rest = later.get(skipped..).unwrap_or_default();
        if rest.is_empty() {
            return out;
        }
    }
}

fn cell(grapheme: &ratatui::text::StyledGrapheme<'_>) -> Cell {
    let text = grapheme.symbol.to_owned();
    Cell { width: Span::raw(text.as_str()).width(), text, style: grapheme.style }
}

/// A label, and beside it a column for each node.
fn is_row(cells: &[Cell]) -> bool {
    let is_blank = |at: usize| cells.get(at).is_none_or(Cell::is_blank);
    is_blank(0) && !is_blank(1) && is_blank(LABEL - 1) && !is_blank(LABEL)
}

/// How many cells fit: of a row up to the next column, otherwise up to the last blank, or as many as
/// there is room for; at least one.
fn fitting(cells: &[Cell], width: usize, is_row: bool) -> usize {
    let mut used = 0;
    let mut most = 0;
    for cell in cells {
        used += cell.width;
        if used > width {
            break;
        }
        most += 1;
    }
    if most == cells.len() {
        return most;
    }
    let words = cells.get(..most).unwrap_or_default();
    let gap = |at: &usize| words.iter().skip(*at).take(2).filter(|it| it.is_blank()).count() == 2;
    if let Some(column) = (LABEL..words.len()).rev().find(gap).filter(|_| is_row) {
        return column;
    }
    if cells.get(most).is_some_and(Cell::is_blank) {
        return most;
    }
    let begin = words.iter().take_while(|cell| cell.is_blank()).count();
    match words.iter().rposition(Cell::is_blank) {
        Some(at) if at > begin => at,
        Some(_) | None => most.max(1),
    }
}

fn joined(lead: usize, cells: &[Cell]) -> Line<'static> {
    let end = cells.iter().rposition(|cell| !cell.is_blank()).map_or(0, |at| at + 1);
    let mut spans: Vec<Span<'static>> = Vec::new();
    if lead > 0 {
        spans.push(Span::raw(" ".repeat(lead)));
    }
    for cell in cells.get(..end).unwrap_or_default() {
        match spans.last_mut() {
            Some(last) if last.style == cell.style => last.content.to_mut().push_str(&cell.text),
            Some(_) | None => spans.push(Span::styled(cell.text.clone(), cell.style)),
        }
    }
    Line::from(spans)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::style::Stylize;

    fn check(line: Line<'_>, width: usize, expect: &[&str]) {
        let shown: Vec<String> = wrapped(&[line], width).iter().map(Line::to_string).collect();
        assert_eq!(shown, expect);
    }

    #[test]
    fn lines_break_at_blanks_and_hang() {
        check("short".into(), 20, &["short"]);
        check("".into(), 20, &[""]);
        check("one two three four".into(), 10, &["one two", "  three", "  four"]);
        check("   do: this and that".into(), 12, &["   do: this", "     and", "     that"]);
        check("exactly ten".into(), 7, &["exactly", "  ten"]);
    }

    #[test]
    fn a_row_goes_on_beside_its_label() {
        check(
            " link eth0     hears, 0.0 s ago              does NOT HEAR".into(),
            40,
            &[" link eth0     hears, 0.0 s ago", "               does NOT HEAR"],
        );
        check(
            " node          active, up 12 d 4 h           dead, heard 8.4 s ago".into(),
            60,
            &[" node          active, up 12 d 4 h", "               dead, heard 8.4 s ago"],
        );
    }

    #[test]
    fn what_has_no_blank_breaks_anywhere_and_wide_characters_count_twice() {
        check("abcdefgh".into(), 5, &["abcde", "  fgh"]);
        check("漢字漢字".into(), 5, &["漢字", "  漢", "  字"]);
        check("ab".into(), 1, &["a", "b"]);
    }

    #[test]
    fn styles_stay() {
        let line = Line::from(vec!["a ".into(), "red words".red(), " end".into()]);
        let wrapped = wrapped(&[line], 6);
        let words: Vec<_> = wrapped.iter().flat_map(|line| &line.spans).collect();
        let red: String = words
            .iter()
            .filter(|it| it.style == Style::new().red())
            .map(|it| &*it.content)
            .collect();
        assert_eq!(red, "redwords");
    }
}
