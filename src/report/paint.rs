//! Colours, and text of others made safe to print.

/// Paints words when colour is wanted, and leaves them alone otherwise: text is complete without it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Paint(pub bool);

impl Paint {
    fn wrap(self, code: &str, text: &str) -> String {
        if self.0 && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// What stands out.
    pub fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// What can be passed over.
    pub fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    /// Failures.
    pub fn red(self, text: &str) -> String {
        self.wrap("1;31", text)
    }

    /// What is fine.
    pub fn green(self, text: &str) -> String {
        self.wrap("32", text)
    }

    /// Changes and warnings.
    pub fn yellow(self, text: &str) -> String {
        self.wrap("33", text)
    }

    /// Places and hints.
    pub fn cyan(self, text: &str) -> String {
        self.wrap("36", text)
    }
}

/// One line of foreign text (a container's log, a command's stderr) without what could steer a terminal.
pub fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' => skip_sequence(&mut chars),
            '\t' => cleaned.push_str("    "),
            c if c.is_control() => {}
            // Marks that reorder or hide the text around them.
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            c => cleaned.push(c),
        }
    }
    cleaned
}

fn skip_sequence(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.peek() {
        Some('[') => {
            chars.next();
            for c in chars.by_ref() {
                if ('\x40'..='\x7e').contains(&c) {
                    break;
                }
            }
        }
        Some(']') => {
            for c in chars.by_ref() {
                if c == '\x07' || c == '\\' {
                    break;
                }
            }
        }
        _ => {
            chars.next();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_steer_the_terminal() {
        assert_eq!(clean("\x1b[31mred\x1b[0m \x1b]0;title\x07x\r\ty\u{202e}"), "red x    y");
    }
}
