//! Columns of a terminal: a Chinese letter takes two, a mark over a letter none.

use unicode_width::UnicodeWidthStr as _;

/// How many columns a text takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// The text, with spaces after it up to `columns`.
pub fn padded(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_takes_the_columns_that_it_is_shown_in() {
        for (text, columns) in [("control01", 9), ("計算", 4), ("e\u{301}", 1), ("·…", 2)] {
            assert_eq!(width(text), columns, "{text}");
        }
        assert_eq!(padded("計算", 6), "計算  ");
        assert_eq!(padded("control01", 6), "control01");
    }
}
