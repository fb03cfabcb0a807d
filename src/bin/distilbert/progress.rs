//! How far the work is, on standard error.

use std::fmt;
use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

/// A count of texts. It is shown where someone sees it.
pub fn counter() -> ProgressBar {
    shown(ProgressBar::new_spinner(), "{spinner} {human_pos} texts, {rate} a second")
}

/// A bar for a known number of texts. It is shown where someone sees it.
pub fn bar(texts: usize) -> ProgressBar {
    let template = "{bar:30} {human_pos} of {human_len} texts, {rate} a second, {eta} left";
    shown(ProgressBar::new(texts as u64), template)
}

fn shown(progress: ProgressBar, template: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let rate = |state: &ProgressState, out: &mut dyn fmt::Write| {
        // A progress display that cannot be written is no reason to stop.
        let _ = write!(out, "{:.0}", state.per_sec());
    };
    let style = ProgressStyle::with_template(template);
    let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
    progress.with_style(style.with_key("rate", rate))
}
