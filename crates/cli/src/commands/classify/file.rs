//! A table of any size, classified row by row in constant memory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use distilbert::Classifier;

use super::answers::Answers;
use super::resume;
use super::rows::{Added, RowWriter};
use crate::failure::Failure;
use crate::render::progress::RowProgress;
use crate::table::input::STANDARD;
use crate::table::{Format, Row, Table, TableOptions};

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

impl FileOptions {
    /// Whether to go on with an output, if it is there.
    ///
    /// # Errors
    /// [`Failure::OutputExists`] if neither that nor anything else was said.
    pub fn goes_on(&self, output: &Path) -> Result<bool, Failure> {
        let is_begun = fs::metadata(output).is_ok_and(|about| about.is_dir() || about.len() > 0);
        if is_begun && !self.resume && !self.overwrite {
            return Err(Failure::OutputExists { path: output.into() });
        }
        Ok(is_begun && self.resume)
    }
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
    let added = Added::new(classifier, &options.prefix, options.scores);
    let answers = Answers::new(classifier, options.strict);
    if table_options.format(input)? == Format::Parquet {
        return run_parquet(answers, added, input, output, options, table_options);
    }
    let table = Table::open(input, table_options, &[table_options.texts()])?;
    let fault = |reason| Failure::Line { path: input.into(), line: 1, reason };
    let writer = RowWriter::new(&table, added).map_err(fault)?;
    let mut job = Job { answers, table, writer };
    let mut out: Box<dyn Write> = match output {
        Some(output) => Box::new(job.open(output, options)?),
        None => {
            let mut out = io::stdout();
            out.write_all(&job.header()).map_err(Failure::Output)?;
            Box::new(out)
        }
    };
    // Typed rows, or answers on the same terminal, would mix with it.
    let is_typed = input.as_os_str() == STANDARD && io::stdin().is_terminal();
    if !is_typed && (output.is_some() || !io::stdout().is_terminal()) {
        job.answers.progress = RowProgress::new(job.table.size());
    }
    job.run(&mut out)
}

#[cfg(feature = "parquet")]
fn run_parquet(
    mut answers: Answers<'_>,
    added: Added,
    input: &Path,
    output: Option<&Path>,
    options: &FileOptions,
    table_options: &TableOptions,
) -> Result<ExitCode, Failure> {
    let (Some(output), false) = (output, input.as_os_str() == STANDARD) else {
        return Err(Failure::ParquetStream);
    };
    super::parquet::run(&mut answers, &added, input, output, options, &table_options.texts())?;
    Ok(answers.finish())
}

#[cfg(not(feature = "parquet"))]
fn run_parquet(
    _: Answers<'_>,
    _: Added,
    input: &Path,
    _: Option<&Path>,
    _: &FileOptions,
    _: &TableOptions,
) -> Result<ExitCode, Failure> {
    Err(Failure::NoParquet { path: input.into() })
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

struct Job<'c> {
    answers: Answers<'c>,
    table: Table,
    writer: RowWriter,
}

impl Job<'_> {
    /// Opens the output where its rows are to begin or to go on.
    fn open(&mut self, path: &Path, options: &FileOptions) -> Result<File, Failure> {
        let fault = |source| Failure::Write { path: path.into(), source };
        if options.goes_on(path)? {
            let end = self.resume(path)?;
            if end > 0 {
                let mut file = OpenOptions::new().write(true).open(path).map_err(fault)?;
                file.set_len(end).map_err(fault)?;
                file.seek(SeekFrom::End(0)).map_err(fault)?;
                return Ok(file);
            }
        }
        let mut file = File::create(path).map_err(fault)?;
        file.write_all(&self.header()).map_err(fault)?;
        Ok(file)
    }

    fn header(&self) -> Vec<u8> {
        let mut header = Vec::new();
        self.writer.write_header(&mut header);
        header
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
                let text = row.text(&self.table.places()[0]);
                let prediction = self.answers.again(text.as_deref().map_err(Clone::clone))?;
                let mut rendered = Vec::new();
                self.writer.write(&row, prediction.as_ref(), &mut rendered);
                if rendered != found.last {
                    return Err(other(format!("row {number} is another")));
                }
            }
        }
        self.answers.failed = found.failed;
        Ok(found.end)
    }

    fn run(mut self, out: &mut dyn Write) -> Result<ExitCode, Failure> {
        let mut rows = Vec::new();
        let mut bytes = Vec::new();
        while self.table.read_chunk(&mut rows)? {
            self.classify(&rows, &mut bytes)?;
            out.write_all(&bytes).and_then(|()| out.flush()).map_err(Failure::Output)?;
            self.answers.progress.set(rows.len(), self.table.position());
            bytes.clear();
        }
        Ok(self.answers.finish())
    }

    /// Writes rows with their predictions into `bytes`.
    fn classify(&mut self, rows: &[Row], bytes: &mut Vec<u8>) -> Result<(), Failure> {
        let place = &self.table.places()[0];
        let texts: Vec<_> = rows.iter().map(|row| row.text(place)).collect();
        let texts: Vec<_> =
            texts.iter().map(|text| text.as_deref().map_err(Clone::clone)).collect();
        let table = &self.table;
        let predictions =
            self.answers.predict(&texts, |index, refusal| table.fault(&rows[index], refusal))?;
        for (row, prediction) in rows.iter().zip(&predictions) {
            if let Some(refusal) = self.writer.refusal(row) {
                return Err(self.table.fault(row, &refusal));
            }
            self.writer.write(row, prediction.as_ref(), bytes);
        }
        Ok(())
    }
}
