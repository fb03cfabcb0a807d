//! A table of any size, classified row by row in constant memory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use distilbert::{Classifier, Prediction};

use super::resume;
use super::rows::RowWriter;
use crate::failure::Failure;
use crate::progress::RowProgress;
use crate::table::input::STANDARD;
use crate::table::{Row, Table, TableOptions};
use crate::terminal;
use crate::texts::{Refusal, answer_each};

#[derive(Args)]
pub struct FileOptions {
    /// Classify the rows of a table: CSV, tab-separated values or JSON lines; - is standard input
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,

    /// Where the rows go, in the format that they came in [default: standard output]
    #[arg(long, value_name = "FILE", requires = "input")]
    output: Option<PathBuf>,

    /// Go on with an output that was interrupted
    #[arg(long, requires = "output", conflicts_with = "overwrite")]
    resume: bool,

    /// Replace an output that is there
    #[arg(long, requires = "output")]
    overwrite: bool,

    /// Stop at the first row that has no prediction, instead of leaving its new fields empty
    #[arg(long, requires = "input")]
    strict: bool,

    /// Add the scores of all labels: columns score_LABEL, or a member `scores`
    #[arg(long, requires = "input")]
    scores: bool,

    /// What the names of new columns begin with [default: nothing]
    #[arg(
        long,
        value_name = "TEXT",
        requires = "input",
        default_value = "",
        hide_default_value = true
    )]
    prefix: String,
}

pub fn run(
    classifier: &Classifier,
    input: &Path,
    options: &FileOptions,
    table_options: &TableOptions,
) -> Result<ExitCode, Failure> {
    let output = options.output.as_deref().filter(|path| path.as_os_str() != STANDARD);
    if let Some(output) = output {
        check_output(input, output, table_options)?;
    }
    let table = Table::open(input, table_options, &[table_options.texts()])?;
    let writer = RowWriter::new(&table, classifier, &options.prefix, options.scores);
    if let Some(column) = writer.taken_column() {
        let reason = taken(&column);
        return Err(Failure::Line { path: input.into(), line: 1, reason });
    }
    let mut job = Job {
        classifier,
        strict: options.strict,
        progress: RowProgress::hidden(),
        table,
        writer,
        out: Box::new(io::sink()),
        failed: 0,
        truncated: 0,
    };
    // Typed rows, or answers on the same terminal, would mix with it.
    let is_typed = input.as_os_str() == STANDARD && io::stdin().is_terminal();
    let is_shown = !is_typed && (output.is_some() || !io::stdout().is_terminal());
    match output {
        None => {
            let mut header = Vec::new();
            job.writer.write_header(&mut header);
            job.out = Box::new(io::stdout());
            job.out.write_all(&header).map_err(Failure::Output)?;
        }
        Some(output) => job.out = Box::new(job.open(output, options)?),
    }
    if is_shown {
        job.progress = RowProgress::new(job.table.size());
    }
    job.run()
}

fn check_output(input: &Path, output: &Path, options: &TableOptions) -> Result<(), Failure> {
    if options.format(output).is_ok_and(|format| options.format(input).is_ok_and(|of| of != format))
    {
        return Err(Failure::OtherFormat { path: input.into() });
    }
    if let (Ok(input), Ok(canonical)) = (fs::canonicalize(input), fs::canonicalize(output))
        && input == canonical
    {
        return Err(Failure::OutputIsInput { path: output.into() });
    }
    Ok(())
}

fn taken(name: &str) -> String {
    format!("there is a `{name}` already: give new names a --prefix, such as predicted_")
}

struct Job<'c> {
    classifier: &'c Classifier,
    strict: bool,
    table: Table,
    writer: RowWriter,
    out: Box<dyn Write>,
    progress: RowProgress,
    /// Rows without a prediction.
    failed: u64,
    /// Texts that were longer than the model takes.
    truncated: u64,
}

impl Job<'_> {
    /// Opens the output where its rows are to begin or to go on.
    fn open(&mut self, path: &Path, options: &FileOptions) -> Result<File, Failure> {
        let fault = |source| Failure::Write { path: path.into(), source };
        let is_begun = fs::metadata(path).is_ok_and(|about| about.is_file() && about.len() > 0);
        if is_begun && !options.resume && !options.overwrite {
            return Err(Failure::OutputExists { path: path.into() });
        }
        if is_begun && options.resume {
            let end = self.resume(path)?;
            if end > 0 {
                let mut file = OpenOptions::new().write(true).open(path).map_err(fault)?;
                file.set_len(end).map_err(fault)?;
                file.seek(SeekFrom::End(0)).map_err(fault)?;
                return Ok(file);
            }
        }
        let mut file = File::create(path).map_err(fault)?;
        let mut header = Vec::new();
        self.writer.write_header(&mut header);
        file.write_all(&header).map_err(fault)?;
        Ok(file)
    }

    /// Passes over the rows that an output has, and says where it ends.
    fn resume(&mut self, path: &Path) -> Result<u64, Failure> {
        let found = resume::read(path, self.table.syntax(), &self.writer)?;
        let other = |reason: String| Failure::OtherOutput { path: path.into(), reason };
        for number in 1..=found.rows {
            let Some(row) = self.table.next_row()? else {
                return Err(other(format!("it has {} rows, more than the input", found.rows)));
            };
            if number == found.rows {
                let (answers, _) = self.answers(std::slice::from_ref(&row))?;
                let mut rendered = Vec::new();
                for answer in answers {
                    self.writer.write(&row, answer.as_ref().ok(), &mut rendered);
                }
                if rendered != found.last {
                    return Err(other(format!("row {number} is another")));
                }
            }
        }
        self.failed = found.failed;
        Ok(found.end)
    }

    fn run(mut self) -> Result<ExitCode, Failure> {
        let mut rows = Vec::new();
        let mut bytes = Vec::new();
        while self.table.read_chunk(&mut rows)? {
            let outcome = self.classify(&rows, &mut bytes);
            self.out.write_all(&bytes).and_then(|()| self.out.flush()).map_err(Failure::Output)?;
            outcome?;
            self.progress.set(rows.len(), self.table.position());
            rows.clear();
            bytes.clear();
        }
        self.progress.finish();
        if self.truncated > 0 {
            let (texts, limit) = (self.truncated, self.classifier.config().max_position_embeddings);
            terminal::print_note(format!(
                "{texts} texts were cut to the {limit} tokens that the model takes."
            ));
        }
        Ok(if self.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Writes rows with their predictions into `bytes`.
    fn classify(&mut self, rows: &[Row], bytes: &mut Vec<u8>) -> Result<(), Failure> {
        let (answers, truncated) = self.answers(rows)?;
        self.truncated += truncated;
        for (row, answer) in rows.iter().zip(&answers) {
            if let Some(key) = self.writer.taken_key(row) {
                return Err(self.table.fault(row, &taken(&key)));
            }
            if let Err(refusal) = answer {
                let fault = self.table.fault(row, refusal);
                if self.strict {
                    return Err(fault);
                }
                self.failed += 1;
                self.progress.suspend(|| terminal::print_error(&fault));
            }
            self.writer.write(row, answer.as_ref().ok(), bytes);
        }
        Ok(())
    }

    /// A prediction for each row, or why it has none; and how many texts were cut.
    fn answers(&self, rows: &[Row]) -> Result<(Vec<Result<Prediction, Refusal>>, u64), Failure> {
        let place = &self.table.places()[0];
        let texts: Vec<_> = rows.iter().map(|row| row.text(place)).collect();
        let borrowed = texts.iter().map(|text| match text {
            Ok(text) => Ok(text.as_ref()),
            Err(reason) => Err(Refusal::Row(reason.clone())),
        });
        let answers =
            answer_each(|texts| self.classifier.classify_batch(texts), borrowed.collect())?;
        let answers: Vec<_> =
            answers.into_iter().map(|answer| answer.map(|(_, prediction)| prediction)).collect();
        let truncated =
            answers.iter().flatten().filter(|prediction| prediction.truncated()).count();
        Ok((answers, truncated as u64))
    }
}
