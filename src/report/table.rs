//! Aligned columns of plain text.

use super::columns::{padded, width};

/// A table with a header; the last column is not padded.
#[derive(Debug, Clone, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column names.
    pub fn new<S: Into<String>>(header: impl IntoIterator<Item = S>) -> Self {
        Self { rows: vec![header.into_iter().map(Into::into).collect()] }
    }

    /// Adds a row; cells beyond the header's columns are kept.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// There is nothing but the header.
    pub fn is_empty(&self) -> bool {
        self.rows.len() <= 1
    }

    /// The text, two spaces between columns, the header in capitals; each line ends with a newline.
    pub fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|column| self.rows.iter().filter_map(|row| row.get(column)).map(|cell| width(cell)).max().unwrap_or(0))
            .collect();
        let mut text = String::new();
        for (index, row) in self.rows.iter().enumerate() {
            let cells: Vec<String> = row
                .iter()
                .zip(&widths)
                .map(|(cell, &columns)| {
                    let cell = if index == 0 { cell.to_uppercase() } else { cell.clone() };
                    padded(&cell, columns)
                })
                .collect();
            text.push_str(cells.join("  ").trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["host", "service", "state"]);
        table.row(["control01", "glance-api", "running"]);
        table.row(["c2", "", "gone"]);
        table.row(["計算01", "", "gone"]);
        assert_eq!(
            table.render(),
            "HOST       SERVICE     STATE\ncontrol01  glance-api  running\nc2                     gone\n\
             計算01                 gone\n"
        );
    }
}
