//! Tables: upper-case headers, two spaces between columns, no borders, `-` for what is not known.

/// Which edge of a column its cells stand at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A table that is being filled.
#[derive(Debug)]
pub struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these headers.
    pub fn new(columns: &[(&str, Align)]) -> Self {
        let columns = columns
            .iter()
            .map(|(name, align)| (name.to_uppercase(), *align))
            .collect();
        Self {
            columns,
            rows: Vec::new(),
        }
    }

    /// Adds a row; an empty cell is not known.
    pub fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        let cells = cells.into_iter().map(Into::into);
        self.rows.push(
            cells
                .map(|cell| {
                    if cell.is_empty() {
                        "-".to_owned()
                    } else {
                        cell
                    }
                })
                .collect(),
        );
    }

    /// The table as lines.
    pub fn render(&self) -> String {
        let headers: Vec<String> = self.columns.iter().map(|(name, _)| name.clone()).collect();
        self.lines(std::iter::once(&headers).chain(&self.rows).collect())
    }

    /// The table as lines, without its headers.
    pub fn render_body(&self) -> String {
        self.lines(self.rows.iter().collect())
    }

    fn lines(&self, lines: Vec<&Vec<String>>) -> String {
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|at| {
                lines
                    .iter()
                    .map(|line| width(line.get(at)))
                    .max()
                    .unwrap_or_default()
            })
            .collect();
        lines.iter().map(|line| self.line(line, &widths)).collect()
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let mut text = String::new();
        for ((cell, wide), (_, align)) in cells.iter().zip(widths).zip(&self.columns) {
            let padding = " ".repeat(wide.saturating_sub(cell.chars().count()));
            match align {
                Align::Left => text.push_str(&format!("{cell}{padding}  ")),
                Align::Right => text.push_str(&format!("{padding}{cell}  ")),
            }
        }
        format!("{}\n", text.trim_end())
    }
}

fn width(cell: Option<&String>) -> usize {
    cell.map_or(0, |cell| cell.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_have_no_trailing_space() {
        let mut table = Table::new(&[
            ("entity", Align::Left),
            ("rows", Align::Right),
            ("eta", Align::Left),
        ]);
        table.row(["offices", "12", ""]);
        table.row(["żółć", "1200", "3s"]);
        assert_eq!(
            table.render(),
            "ENTITY   ROWS  ETA\noffices    12  -\nżółć     1200  3s\n"
        );
    }

    #[test]
    fn an_empty_table_is_its_headers() {
        assert_eq!(Table::new(&[("name", Align::Left)]).render(), "NAME\n");
    }
}
