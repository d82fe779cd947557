//! A few rows as text, for people.

/// The most characters of a cell that are shown.
pub(crate) const WIDEST: usize = 40;

/// Lines up the columns; ends with a newline.
pub(crate) fn table(head: Vec<String>, rows: Vec<Vec<String>>) -> String {
    let lines: Vec<Vec<String>> = std::iter::once(head)
        .chain(rows)
        .map(|row| row.iter().map(|cell| cell_text(cell)).collect())
        .collect();
    let widths: Vec<usize> = (0..lines[0].len())
        .map(|column| {
            lines
                .iter()
                .filter_map(|line| line.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        let cells: Vec<String> = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
        if index == 0 {
            let rules: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
            text.push_str(&rules.join("  "));
            text.push('\n');
        }
    }
    text
}

/// A cell on one line: cut, and without control characters, which a terminal would obey.
fn cell_text(cell: &str) -> String {
    let mut text: String = cell.chars().take(WIDEST).flat_map(shown).collect();
    if cell.chars().nth(WIDEST).is_some() {
        text.push('…');
    }
    text
}

fn shown(char: char) -> impl Iterator<Item = char> {
    let escaped = char.is_control().then(|| char.escape_default());
    let plain = (!char.is_control()).then_some(char);
    escaped.into_iter().flatten().chain(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_long_or_wild_cells_are_tamed() {
        let row = |cells: &[&str]| {
            cells
                .iter()
                .map(|cell| (*cell).to_owned())
                .collect::<Vec<_>>()
        };
        insta::assert_snapshot!(
            table(row(&["carrier", "n"]), vec![row(&["UA", "1545"]), row(&["\u{1b}[31m", &"é".repeat(50)])]),
            @r"
        carrier     n
        ──────────  ─────────────────────────────────────────
        UA          1545
        \u{1b}[31m  éééééééééééééééééééééééééééééééééééééééé…
        "
        );
    }
}
