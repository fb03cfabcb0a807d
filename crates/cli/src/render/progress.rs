//! Progress bars and counters on standard error, shown only on a terminal.

use std::fmt;
use std::io::IsTerminal;
#[cfg(feature = "hub")]
use std::sync::OnceLock;

#[cfg(feature = "hub")]
use distilbert::hub::DownloadProgress;
use indicatif::{HumanCount, ProgressBar, ProgressState, ProgressStyle};

/// Returns a counter of texts.
pub fn counter() -> ProgressBar {
    shown(ProgressBar::new_spinner(), "{spinner} {human_pos} texts, {rate}/s")
}

/// Returns a bar for a known number of texts.
pub fn bar(texts: usize) -> ProgressBar {
    let template = "{bar:30} {human_pos} of {human_len} texts, {rate}/s, {eta} left";
    shown(ProgressBar::new(texts as u64), template)
}

/// Returns a bar for a known number of measurements.
pub fn measurements(count: usize) -> ProgressBar {
    let template = "{bar:30} {human_pos} of {human_len} measurements, {eta} left";
    shown(ProgressBar::new(count as u64), template)
}

/// Bar of a download, file by file. It appears with the first bytes.
#[cfg(feature = "hub")]
#[derive(Default)]
pub struct DownloadBar {
    bar: OnceLock<ProgressBar>,
}

#[cfg(feature = "hub")]
impl DownloadBar {
    /// Shows the progress of a file.
    pub fn update(&self, progress: &DownloadProgress<'_>) {
        let bar = self.bar.get_or_init(|| {
            let template = "{msg} {bar:30} {bytes} of {total_bytes}, {eta} left";
            shown(ProgressBar::new(0), template)
        });
        if bar.message() != progress.file {
            bar.set_message(progress.file.to_owned());
            bar.reset_eta();
        }
        // Without a size, the bar is full.
        bar.set_length(progress.total.unwrap_or(progress.received));
        bar.set_position(progress.received);
    }

    /// Removes the bar.
    pub fn clear(&self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }
}

/// Bar over the steps of one stage after the other.
#[cfg(feature = "prune")]
pub struct StageBar {
    bar: ProgressBar,
}

#[cfg(feature = "prune")]
impl Default for StageBar {
    fn default() -> Self {
        Self { bar: shown(ProgressBar::new(0), "{msg} {bar:30} {pos} of {len}, {elapsed}") }
    }
}

#[cfg(feature = "prune")]
impl StageBar {
    /// Shows the progress of a stage.
    pub fn update(&self, stage: &'static str, done: usize, total: usize) {
        self.bar.set_message(stage);
        self.bar.set_length(total as u64);
        self.bar.set_position(done as u64);
    }

    /// Stops the bar and removes it.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// Bar over a table, or a counter if the table's size is unknown, with the number of rows.
pub struct RowProgress {
    bar: ProgressBar,
    rows: u64,
}

impl RowProgress {
    /// Starts a bar that ends at position `size` of the table.
    pub fn new(size: Option<u64>) -> Self {
        let bar = match size {
            Some(size) => shown(ProgressBar::new(size), "{bar:30} {percent}%, {msg}, {eta} left"),
            None => shown(ProgressBar::new_spinner(), "{spinner} {msg}"),
        };
        Self { bar, rows: 0 }
    }

    /// Returns a bar that is never shown.
    pub fn hidden() -> Self {
        Self { bar: ProgressBar::hidden(), rows: 0 }
    }

    /// Advances by `rows` rows to a position of the table.
    pub fn advance(&mut self, rows: usize, position: u64) {
        self.rows += rows as u64;
        let rate = self.rows as f64 / self.bar.elapsed().as_secs_f64();
        self.bar.set_position(position);
        self.bar.set_message(format!("{} rows, {rate:.0}/s", HumanCount(self.rows)));
    }

    /// Hides the bar while `print` runs.
    pub fn suspend(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    /// Stops the bar and leaves it visible.
    pub fn finish(&self) {
        self.bar.finish();
    }

    /// Stops the bar and removes it.
    pub fn finish_and_clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// Styles a bar, or hides it if standard error is not a terminal.
fn shown(progress: ProgressBar, template: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let rate = |state: &ProgressState, out: &mut dyn fmt::Write| {
        // Failing to show progress is no reason to stop.
        let _ = write!(out, "{:.0}", state.per_sec());
    };
    let style = ProgressStyle::with_template(template);
    let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
    progress.with_style(style.with_key("rate", rate))
}
