//! Classification of the rows of a table, in constant memory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Seek, SeekFrom, Stdout, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use distilbert::Classifier;

use super::answers::Answers;
use super::resume;
use super::rows::{AddedColumns, RowWriter};
use crate::failure::Failure;
use crate::files::{self, Source};
use crate::render::progress::RowProgress;
use crate::table::input::STANDARD;
use crate::table::{Format, Row, Table, TableOptions};
use crate::texts::Rejection;

/// Input and output tables.
#[derive(Args)]
pub struct FileOptions {
    /// Classify the rows of a table: CSV, TSV, JSON Lines or Parquet; - for standard input
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,

    /// File to write the rows to, in the format of the input [default: standard output]
    #[arg(long, value_name = "FILE", requires = "input")]
    output: Option<PathBuf>,

    /// Continue an interrupted run
    #[arg(long, requires = "output", conflicts_with = "overwrite")]
    resume: bool,

    /// Replace an existing output file
    #[arg(long, requires = "output")]
    overwrite: bool,

    /// Stop at the first row that cannot be classified, instead of leaving its new fields empty
    #[arg(long, requires = "input")]
    strict: bool,

    /// Add the score of every label: columns score_LABEL, or `scores` in JSON Lines
    #[arg(long, requires = "input")]
    scores: bool,

    /// Prefix for the names of added columns [default: none]
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
    /// Returns `true` if an existing output is to be continued.
    ///
    /// # Errors
    /// [`Failure::OutputExists`] if there is an output, and neither `--resume` nor `--overwrite` was given.
    pub fn continues(&self, output: &Path) -> Result<bool, Failure> {
        let exists = fs::metadata(output).is_ok_and(|about| about.is_dir() || about.len() > 0);
        if exists && !self.resume && !self.overwrite {
            return Err(Failure::OutputExists { path: output.into() });
        }
        Ok(exists && self.resume)
    }
}

/// Table to classify, with its options.
pub struct FileJob<'a> {
    pub input: &'a Path,
    /// Output file; `None` for standard output.
    pub output: Option<&'a Path>,
    pub options: &'a FileOptions,
    pub table: &'a TableOptions,
}

impl<'a> FileJob<'a> {
    /// Checks the output.
    ///
    /// # Errors
    /// [`Failure::OtherFormat`]; [`Failure::SameInputAndOutput`] or [`Failure::OutputIsInput`] if the output is the input,
    /// under any name.
    pub fn new(
        input: &'a Path,
        options: &'a FileOptions,
        table: &'a TableOptions,
    ) -> Result<Self, Failure> {
        let output = options.output.as_deref().filter(|path| path.as_os_str() != STANDARD);
        let job = Self { input, output, options, table };
        match output {
            Some(output) => job.check_output(output)?,
            None => files::check_standard_output(&Source::new(input))?,
        }
        Ok(job)
    }

    fn check_output(&self, output: &Path) -> Result<(), Failure> {
        let [from, to] = [self.input, output].map(|path| self.table.format(path));
        if let (Ok(from), Ok(to)) = (from, to)
            && from != to
        {
            return Err(Failure::OtherFormat { path: self.input.into() });
        }
        if let (Ok(input), Ok(canonical)) = (fs::canonicalize(self.input), fs::canonicalize(output))
            && input == canonical
        {
            return Err(Failure::SameInputAndOutput { path: output.into() });
        }
        files::check_output(output, &[Source::new(self.input)])
    }

    /// Classifies every row.
    pub fn run(&self, classifier: &Classifier) -> Result<ExitCode, Failure> {
        if let Some(output) = self.output {
            files::check_output(output, &Source::of_folder(&classifier.info().folder))?;
        }
        let columns = AddedColumns::new(classifier, &self.options.prefix, self.options.scores);
        let answers = Answers::new(classifier, self.options.strict);
        if self.table.format(self.input)? == Format::Parquet {
            return self.run_parquet(answers, columns);
        }
        let table = Table::open(self.input, self.table, &[self.table.text_column()])?;
        let failure = |reason| Failure::Line { path: self.input.into(), line: 1, reason };
        let writer = RowWriter::new(&table, columns).map_err(failure)?;
        let mut run = Run { answers, table, writer };
        let mut out = match self.output {
            Some(path) => Out::File { path, file: run.open(path, self.options)? },
            None => {
                let mut out = Out::Standard(io::stdout());
                out.write(&run.header())?;
                out
            }
        };
        // A bar would get mixed up with typed rows, and with results on the same terminal.
        let is_typed = self.input.as_os_str() == STANDARD && io::stdin().is_terminal();
        if !is_typed && (self.output.is_some() || !io::stdout().is_terminal()) {
            run.answers.progress = RowProgress::new(run.table.size());
        }
        run.run(&mut out)
    }

    #[cfg(feature = "parquet")]
    fn run_parquet(
        &self,
        mut answers: Answers<'_>,
        columns: AddedColumns,
    ) -> Result<ExitCode, Failure> {
        let (Some(output), false) = (self.output, self.input.as_os_str() == STANDARD) else {
            return Err(Failure::ParquetStream);
        };
        super::parquet::run(&mut answers, &columns, self, output)?;
        Ok(answers.finish())
    }

    #[cfg(not(feature = "parquet"))]
    fn run_parquet(&self, _: Answers<'_>, _: AddedColumns) -> Result<ExitCode, Failure> {
        Err(Failure::NoParquet { path: self.input.into() })
    }
}

/// Output of a CSV, TSV or JSON Lines table.
enum Out<'a> {
    File { path: &'a Path, file: File },
    Standard(Stdout),
}

impl Out<'_> {
    /// Writes complete rows.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self {
            Self::File { path, file } => file
                .write_all(bytes)
                .map_err(|source| Failure::Write { path: (*path).into(), source }),
            Self::Standard(out) => {
                out.write_all(bytes).and_then(|()| out.flush()).map_err(Failure::Output)
            }
        }
    }
}

/// Run over the rows of a CSV, TSV or JSON Lines table.
struct Run<'c> {
    answers: Answers<'c>,
    table: Table,
    writer: RowWriter,
}

impl Run<'_> {
    /// Opens the output where the next row belongs.
    fn open(&mut self, path: &Path, options: &FileOptions) -> Result<File, Failure> {
        let failure = |source| Failure::Write { path: path.into(), source };
        if options.continues(path)? {
            let end = self.resume(path)?;
            if end > 0 {
                let mut file = OpenOptions::new().write(true).open(path).map_err(failure)?;
                file.set_len(end).map_err(failure)?;
                file.seek(SeekFrom::End(0)).map_err(failure)?;
                return Ok(file);
            }
        }
        let mut file = File::create(path).map_err(failure)?;
        file.write_all(&self.header()).map_err(failure)?;
        Ok(file)
    }

    fn header(&self) -> Vec<u8> {
        let mut header = Vec::new();
        self.writer.write_header(&mut header);
        header
    }

    /// Skips the rows that the output contains, and returns the position of their end.
    fn resume(&mut self, path: &Path) -> Result<u64, Failure> {
        let found = resume::read(path, self.table.syntax(), &self.writer)?;
        let other = |reason: String| Failure::OtherOutput { path: path.into(), reason };
        for number in 1..=found.rows {
            let Some(row) = self.table.next_row()? else {
                return Err(other(format!("it has {} rows, more than the input", found.rows)));
            };
            if number == found.rows {
                let text = row.text(&self.table.places()[0]);
                let text = text.as_deref().map_err(Clone::clone);
                let prediction = self.answers.predict_again(text)?;
                let mut expected = Vec::new();
                self.writer.write(&row, prediction.as_ref(), &mut expected);
                if expected != found.last {
                    return Err(other(format!("row {number} differs")));
                }
            }
        }
        self.answers.failed = found.failed;
        Ok(found.end)
    }

    fn run(mut self, out: &mut Out<'_>) -> Result<ExitCode, Failure> {
        let mut rows = Vec::new();
        let mut bytes = Vec::new();
        while self.table.read_chunk(&mut rows)? {
            self.classify(&rows, &mut bytes)?;
            out.write(&bytes)?;
            self.answers.progress.advance(rows.len(), self.table.position());
            bytes.clear();
        }
        Ok(self.answers.finish())
    }

    /// Appends rows with their predictions to `bytes`.
    fn classify(&mut self, rows: &[Row], bytes: &mut Vec<u8>) -> Result<(), Failure> {
        let place = &self.table.places()[0];
        let texts: Vec<_> = rows.iter().map(|row| row.text(place)).collect();
        let texts: Vec<_> =
            texts.iter().map(|text| text.as_deref().map_err(Clone::clone)).collect();
        let table = &self.table;
        let failure =
            |index: usize, rejection: &Rejection| table.invalid_row(&rows[index], rejection);
        let predictions = self.answers.predict(&texts, failure)?;
        for (row, prediction) in rows.iter().zip(&predictions) {
            if let Some(reason) = self.writer.conflict(row) {
                return Err(self.table.invalid_row(row, &reason));
            }
            self.writer.write(row, prediction.as_ref(), bytes);
        }
        Ok(())
    }
}
