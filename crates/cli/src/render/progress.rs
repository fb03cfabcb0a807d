//! How far the work is, on standard error.

use std::fmt;
use std::io::IsTerminal;

use indicatif::{HumanCount, ProgressBar, ProgressState, ProgressStyle};

/// A count of texts. It is shown where someone sees it.
pub fn counter() -> ProgressBar {
    shown(ProgressBar::new_spinner(), "{spinner} {human_pos} texts, {rate} a second")
}

/// A bar for a known number of texts. It is shown where someone sees it.
pub fn bar(texts: usize) -> ProgressBar {
    let template = "{bar:30} {human_pos} of {human_len} texts, {rate} a second, {eta} left";
    shown(ProgressBar::new(texts as u64), template)
}

/// A bar for a known number of figures. It is shown where someone sees it.
pub fn figures(figures: usize) -> ProgressBar {
    let template = "{bar:30} {human_pos} of {human_len} figures, {eta} left";
    shown(ProgressBar::new(figures as u64), template)
}

/// A bar over the bytes of a table, or without their number a count, that tells rows. It is shown where someone
/// sees it.
pub struct RowProgress {
    bar: ProgressBar,
    rows: u64,
}

impl RowProgress {
    pub fn new(bytes: Option<u64>) -> Self {
        let bar = match bytes {
            Some(bytes) => {
                shown(ProgressBar::new(bytes), "{bar:30} {percent} %, {msg}, {eta} left")
            }
            None => shown(ProgressBar::new_spinner(), "{spinner} {msg}"),
        };
        Self { bar, rows: 0 }
    }

    pub fn hidden() -> Self {
        Self { bar: ProgressBar::hidden(), rows: 0 }
    }

    /// Adds rows, up to a byte of the table.
    pub fn set(&mut self, rows: usize, position: u64) {
        self.rows += rows as u64;
        let rate = self.rows as f64 / self.bar.elapsed().as_secs_f64();
        self.bar.set_position(position);
        self.bar.set_message(format!("{} rows, {rate:.0} a second", HumanCount(self.rows)));
    }

    pub fn suspend(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    pub fn finish(&self) {
        self.bar.finish();
    }

    pub fn finish_and_clear(&self) {
        self.bar.finish_and_clear();
    }
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
