//! Figures of the original and of pruned models: sizes, times, agreement and quality.

use std::path::PathBuf;
use std::time::Instant;

use distilbert::{Classifier, ProblemType, TokenBatch};
use distilbert_evaluate::{Evaluation, EvaluationOptions, Row as LabeledRow};
use distilbert_report::pruning::{Model, Quality};

use super::Arguments;
use crate::failure::Failure;
use crate::table::Table;

/// Lengths of the texts that are timed, in tokens, as far as the model takes them.
const LENGTHS: [usize; 4] = [8, 32, 128, 512];

/// Times that each model classifies a text of each length.
const ROUNDS: usize = 21;

/// Texts that are classified together.
const BATCH: usize = 256;

/// A model to measure.
pub struct Candidate {
    pub name: String,
    pub folder: PathBuf,
    /// Share of the original's multiply-adds.
    pub share: f64,
}

/// A text and the ids of its labels.
type Labeled = (String, Vec<usize>);

/// Measures models, the original first. `texts` show how often a model gives the original's label.
pub fn measure(
    arguments: &Arguments,
    candidates: &[Candidate],
    texts: &[String],
) -> Result<Vec<Model>, Failure> {
    let load = |candidate: &Candidate| {
        let builder = Classifier::builder(&candidate.folder);
        match arguments.threads {
            Some(threads) => builder.threads(threads.into()).build(),
            None => builder.build(),
        }
    };
    let classifiers = candidates.iter().map(load).collect::<Result<Vec<Classifier>, _>>()?;
    let labeled = labeled(arguments, &classifiers[0])?;
    let times = times(&classifiers)?;
    let answers = classifiers.iter().map(|classifier| best(classifier, texts));
    let answers = answers.collect::<Result<Vec<_>, _>>()?;
    let mut models = Vec::new();
    for (index, (candidate, classifier)) in candidates.iter().zip(&classifiers).enumerate() {
        let (info, config) = (classifier.info(), classifier.config());
        let same = answers[index].iter().zip(&answers[0]).filter(|(a, b)| a == b).count();
        models.push(Model {
            name: candidate.name.clone(),
            share: candidate.share,
            parameters: info.parameters,
            bytes: info.checkpoint_bytes,
            layers: (0..config.n_layers)
                .map(|layer| [config.layer(layer).heads, config.layer(layer).hidden_dim])
                .collect(),
            times: times.iter().map(|(tokens, times)| (*tokens, times[index])).collect(),
            agreement: (!texts.is_empty()).then(|| same as f64 / texts.len() as f64),
            quality: quality(classifier, &labeled)?,
        });
    }
    Ok(models)
}

/// Reads the labeled texts, without those of several labels if the model predicts one.
fn labeled(arguments: &Arguments, classifier: &Classifier) -> Result<Vec<Labeled>, Failure> {
    let Some(path) = &arguments.evaluate else { return Ok(Vec::new()) };
    let mapping = arguments.labels.mapping(classifier.labels())?;
    let columns = [arguments.table.text_column(), arguments.labels.column()];
    let mut table = Table::open(path, &arguments.table, &columns)?;
    let takes_any = classifier.problem_type() == ProblemType::MultiLabelClassification;
    let (mut labeled, mut rows) = (Vec::new(), Vec::new());
    while table.read_chunk(&mut rows)? {
        for row in &rows {
            let [text, label] = table.places() else { continue };
            let ids = row.cell(label).and_then(|cell| mapping.ids_of_cell(&cell));
            let ids = ids.map_err(|reason| table.invalid_row(row, &reason))?;
            let text = row.text(text).map_err(|reason| table.invalid_row(row, &reason))?;
            match ids {
                Some(ids) if takes_any || ids.len() == 1 => labeled.push((text.into_owned(), ids)),
                _ => {}
            }
        }
    }
    Ok(labeled)
}

/// Returns the index of each text's best label.
fn best(classifier: &Classifier, texts: &[String]) -> Result<Vec<usize>, Failure> {
    let mut best = Vec::with_capacity(texts.len());
    for texts in texts.chunks(BATCH) {
        let predictions = classifier.classify_batch(texts)?;
        best.extend(predictions.iter().map(distilbert::Prediction::index));
    }
    Ok(best)
}

fn quality(classifier: &Classifier, labeled: &[Labeled]) -> Result<Option<Quality>, Failure> {
    if labeled.is_empty() {
        return Ok(None);
    }
    // No intervals are shown.
    let options = EvaluationOptions::default().resamples(1).mistakes(0);
    let kind = classifier.problem_type();
    let mut evaluation = Evaluation::new(classifier.labels(), kind, &options)?;
    for rows in labeled.chunks(BATCH) {
        let texts: Vec<&str> = rows.iter().map(|(text, _)| text.as_str()).collect();
        for ((_, truth), found) in rows.iter().zip(classifier.classify_batch(&texts)?) {
            evaluation.push(&LabeledRow::new(truth, found.scores()).tokens(found.tokens()))?;
        }
    }
    let report = evaluation.report()?;
    let classes = report.classes().iter();
    Ok(Some(Quality {
        rows: report.rows(),
        accuracy: report.accuracy().value,
        macro_f1: report.macro_f1().value,
        classes: classes.map(|class| (class.label.clone(), class.scores.f1)).collect(),
    }))
}

/// Returns each length with the median time of each model, in milliseconds. Models take turns.
fn times(classifiers: &[Classifier]) -> Result<Vec<(usize, Vec<f64>)>, Failure> {
    let limit = classifiers[0].max_tokens();
    let vocabulary = classifiers[0].config().vocab_size as u32;
    let mut lengths: Vec<usize> = LENGTHS.iter().map(|&tokens| tokens.min(limit)).collect();
    lengths.dedup();
    let mut all = Vec::new();
    for tokens in lengths {
        // Any ids take the same time.
        let ids: Vec<u32> = (0..tokens as u32).map(|at| at * 7 % vocabulary).collect();
        let batch = TokenBatch::from_rows(&[ids])?;
        let mut logits = Vec::new();
        let mut times = vec![Vec::new(); classifiers.len()];
        for _ in 0..ROUNDS {
            for (classifier, times) in classifiers.iter().zip(&mut times) {
                let start = Instant::now();
                classifier.logits_into(&batch, &mut logits)?;
                times.push(start.elapsed().as_secs_f64() * 1e3);
            }
        }
        times.iter_mut().for_each(|times| times.sort_by(f64::total_cmp));
        all.push((tokens, times.iter().map(|times| times[ROUNDS / 2]).collect()));
    }
    Ok(all)
}
