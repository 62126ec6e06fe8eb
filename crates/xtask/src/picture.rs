//! Draws what a terminal showed as an SVG, for README: `script -qefc 'target/release/hb demo'
//! /dev/null | cargo xtask picture > docs/demo.svg`. It knows the few control sequences that `hb`
//! uses, and nothing of what the text means.

use std::fmt::Write as _;

/// Size of a cell, in SVG units.
const CELL: (f64, f64) = (8.4, 18.0);
/// Columns that are drawn; longer lines are cut.
const COLUMNS: usize = 104;
/// Room around the text.
const MARGIN: f64 = 14.0;

/// How a piece of text looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Look {
    colour: Option<u8>,
    bold: bool,
    dim: bool,
}

impl Look {
    /// Takes an SGR sequence (ECMA-48), such as `1;32`.
    fn apply(&mut self, codes: &str) {
        for code in codes.split(';') {
            match code.parse() {
                Ok(0) | Err(_) => *self = Self::default(),
                Ok(1) => self.bold = true,
                Ok(2) => self.dim = true,
                Ok(code @ 30..=37) => self.colour = Some(code - 30),
                Ok(_) => {}
            }
        }
    }

    fn style(self) -> String {
        let colour = match self.colour {
            Some(1) => "#ff7b72",
            Some(2) => "#56d364",
            Some(3) => "#e3b341",
            Some(5) => "#d2a8ff",
            Some(6) => "#39c5cf",
            _ if self.dim => "#8b949e",
            _ => "#e6edf3",
        };
        let weight = if self.bold { " font-weight=\"bold\"" } else { "" };
        format!("fill=\"{colour}\"{weight}")
    }
}

type Line = Vec<(Look, String)>;

/// The SVG of a terminal's output.
pub(crate) fn draw(ansi: &str) -> String {
    let lines = lines(ansi);
    let width = COLUMNS as f64 * CELL.0 + 2.0 * MARGIN;
    let height = lines.len() as f64 * CELL.1 + 2.0 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"ui-monospace, Menlo, Consolas, \
         'DejaVu Sans Mono', monospace\" font-size=\"14\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#0d1117\"/>\n"
    );
    for (row, line) in lines.iter().enumerate() {
        let y = MARGIN + (row as f64 + 0.75) * CELL.1;
        let mut column = 0;
        for (look, text) in line {
            let shown: String = text.chars().take(COLUMNS - column.min(COLUMNS)).collect();
            let x = MARGIN + column as f64 * CELL.0;
            let length = shown.chars().count();
            column += length;
            if !shown.trim().is_empty() {
                let _ = writeln!(
                    svg,
                    "<text x=\"{x:.1}\" y=\"{y:.1}\" textLength=\"{:.1}\" xml:space=\"preserve\" \
                     {}>{}</text>",
                    length as f64 * CELL.0,
                    look.style(),
                    escape(&shown)
                );
            }
        }
    }
    svg + "</svg>\n"
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The lines as they stand in the end; a line that was erased and written again counts once.
fn lines(ansi: &str) -> Vec<Line> {
    let mut look = Look::default();
    let mut lines = Vec::new();
    for raw in ansi.replace("\r\n", "\n").lines() {
        let raw = raw.rsplit("\r\u{1b}[2K").next().unwrap_or_default();
        let mut line: Line = Vec::new();
        for (number, piece) in raw.split("\u{1b}[").enumerate() {
            let text = match (number, piece.split_once('m')) {
                (0, _) => piece,
                (_, Some((codes, text))) => {
                    look.apply(codes);
                    text
                }
                (_, None) => "",
            };
            match line.last_mut() {
                Some((last, written)) if *last == look => written.push_str(text),
                _ => line.push((look, text.to_owned())),
            }
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_and_erased_lines() {
        let ansi = "wait …\r\u{1b}[2K\u{1b}[1;32mok\u{1b}[0m <done>\r\nnext\r\n";
        let svg = draw(ansi);
        assert!(svg.contains("fill=\"#56d364\" font-weight=\"bold\">ok</text>"), "{svg}");
        assert!(svg.contains("&lt;done&gt;") && !svg.contains("wait"), "{svg}");
        assert_eq!(lines(ansi).len(), 2);
    }

    #[test]
    fn long_lines_are_cut() {
        let svg = draw(&"x".repeat(500));
        assert!(svg.contains(&"x".repeat(COLUMNS)) && !svg.contains(&"x".repeat(COLUMNS + 1)));
    }
}
