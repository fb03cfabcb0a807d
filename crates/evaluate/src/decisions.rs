//! [`Decisions`]: the true and the predicted labels of rows.

use distilbert::Prediction;

use crate::scores::Scores;

/// Label of a row that is true, predicted, or both.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    pub label: u32,
    pub is_true: bool,
    pub is_predicted: bool,
}

/// True and predicted labels of all rows. A label that is neither true nor predicted has no mark.
#[derive(Clone, Debug, Default)]
pub(crate) struct Decisions {
    marks: Vec<Mark>,
    /// End of each row in `marks`; each row starts at the end of the row before.
    row_ends: Vec<usize>,
}

impl Decisions {
    pub fn push(
        &mut self,
        is_true: impl Fn(usize) -> bool,
        is_predicted: impl Fn(usize) -> bool,
        labels: usize,
    ) {
        let marks = (0..labels).map(|label| Mark {
            label: label as u32,
            is_true: is_true(label),
            is_predicted: is_predicted(label),
        });
        self.marks.extend(marks.filter(|mark| mark.is_true || mark.is_predicted));
        self.row_ends.push(self.marks.len());
    }

    pub fn rows(&self) -> usize {
        self.row_ends.len()
    }

    pub fn row(&self, row: usize) -> &[Mark] {
        let start = if row == 0 { 0 } else { self.row_ends[row - 1] };
        &self.marks[start..self.row_ends[row]]
    }

    pub fn by_row(&self) -> impl Iterator<Item = &[Mark]> {
        (0..self.rows()).map(|row| self.row(row))
    }
}

pub(crate) fn is_right(marks: &[Mark]) -> bool {
    marks.iter().all(|mark| mark.is_true == mark.is_predicted)
}

/// Number of rows in which a label is true, predicted, and both.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub hits: usize,
    pub predicted: usize,
    pub support: usize,
}

impl Counts {
    pub fn add(&mut self, mark: &Mark) {
        self.hits += usize::from(mark.is_true && mark.is_predicted);
        self.predicted += usize::from(mark.is_predicted);
        self.support += usize::from(mark.is_true);
    }

    pub fn of<'a>(marks: impl IntoIterator<Item = &'a Mark>) -> Self {
        let mut counts = Self::default();
        marks.into_iter().for_each(|mark| counts.add(mark));
        counts
    }

    pub fn sum(of: &[Self]) -> Self {
        Self {
            hits: of.iter().map(|counts| counts.hits).sum(),
            predicted: of.iter().map(|counts| counts.predicted).sum(),
            support: of.iter().map(|counts| counts.support).sum(),
        }
    }

    /// Returns the 2 × 2 confusion matrix over `rows` rows: not true and true, each by not predicted and predicted.
    pub fn confusion(&self, rows: usize) -> [[usize; 2]; 2] {
        let Self { hits, predicted, support } = *self;
        [[rows + hits - predicted - support, predicted - hits], [support - hits, hits]]
    }

    /// Computes the scores; a quotient with the denominator 0 is 0.
    pub fn scores(&self) -> Scores {
        let quotient = |hits: usize, of: usize| if of == 0 { 0.0 } else { hits as f64 / of as f64 };
        Scores {
            precision: quotient(self.hits, self.predicted),
            recall: quotient(self.hits, self.support),
            f1: quotient(2 * self.hits, self.predicted + self.support),
        }
    }
}

/// Returns the ids of the labels that the scores predict, in ascending order: the first of the highest scores, or with
/// several labels per row those of at least [`Prediction::THRESHOLD`].
pub(crate) fn predicted(scores: &[f32], is_multi_label: bool) -> Vec<usize> {
    if is_multi_label {
        return (0..scores.len()).filter(|&id| scores[id] >= Prediction::THRESHOLD).collect();
    }
    vec![argmax(scores)]
}

/// Returns label ids in ascending order, each once.
pub(crate) fn distinct(ids: &[usize]) -> Vec<usize> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Returns the index of the first of the highest scores.
pub(crate) fn argmax(scores: &[f32]) -> usize {
    let mut best = 0;
    for (index, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = index;
        }
    }
    best
}
