//! Colours for who looks at a terminal.
//!
//! What is painted here is printed by [`super::print_painted`], which takes the colours out for
//! anything but a terminal, and for who has set `NO_COLOR`.

use clap::builder::styling::{AnsiColor, Style};

/// All is well.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();

/// Worth a look.
pub(super) const ODD: Style = AnsiColor::Yellow.on_default();

/// Something does not work.
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();

/// What the eye should meet first.
pub(super) const STRONG: Style = Style::new().bold();

/// What may be passed over.
pub(super) const FAINT: Style = Style::new().dimmed();

/// `text` in `style`.
pub(super) fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}
