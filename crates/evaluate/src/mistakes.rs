//! [`Mistakes`]: where the model is wrong, for the analysis of errors.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::decisions::{Mark, is_right};
use crate::evaluation::Row;

/// A row of which something else is predicted than is true.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Mistake {
    /// [What the row is called](crate::Row::number).
    pub row: usize,
    /// Its text, if it was given.
    pub text: Option<String>,
    /// Ids of the true labels, rising.
    pub truth: Vec<usize>,
    /// Ids of the predicted labels, rising.
    pub predicted: Vec<usize>,
    /// How sure the model is of what is wrong: the probability of the predicted label; for a multi-label
    /// model, the highest that it gives one of its wrong decisions, for or against a label.
    pub confidence: f32,
}

/// How often one label is missed where another is predicted wrongly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfusedPair {
    /// Id of the label that is true and not predicted.
    pub truth: usize,
    /// Id of the label that is predicted and not true.
    pub predicted: usize,
    /// In how many rows.
    pub rows: usize,
}

/// The rows whose texts have so many tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Length {
    /// The least number of tokens.
    pub from: usize,
    /// The highest.
    pub to: usize,
    /// How many rows there are.
    pub rows: usize,
    /// In how many of them something else is predicted than is true.
    pub mistakes: usize,
}

/// The shortest lengths are one bucket, up to so many tokens; each next one ends at twice as many.
const SHORTEST: usize = 8;

#[derive(Clone, Debug)]
pub(crate) struct Mistakes {
    /// How many of the most confident are kept.
    keep: usize,
    /// The most confident first; of equals, the lower number.
    most_confident: Vec<Mistake>,
    pairs: BTreeMap<(u32, u32), usize>,
    /// Rows and mistakes by length: up to [`SHORTEST`] tokens, up to twice as many, and so on.
    lengths: Vec<(usize, usize)>,
}

impl Mistakes {
    pub fn new(keep: usize) -> Self {
        Self { keep, most_confident: Vec::new(), pairs: BTreeMap::new(), lengths: Vec::new() }
    }

    /// Takes a row, right or wrong, with how sure the model is of what is wrong.
    pub fn push(&mut self, number: usize, row: &Row<'_>, marks: &[Mark], confidence: f32) {
        let is_right = is_right(marks);
        if let Some(tokens) = row.tokens {
            self.measure(tokens, is_right);
        }
        if is_right {
            return;
        }
        for truth in marks.iter().filter(|mark| mark.is_true && !mark.is_predicted) {
            for predicted in marks.iter().filter(|mark| mark.is_predicted && !mark.is_true) {
                *self.pairs.entry((truth.label, predicted.label)).or_insert(0) += 1;
            }
        }
        let place = self.most_confident.partition_point(|other| {
            let order = other.confidence.total_cmp(&confidence);
            order.then(number.cmp(&other.row)).is_ge()
        });
        if place < self.keep {
            self.most_confident.truncate(self.keep - 1);
            let labels = |is: fn(&Mark) -> bool| {
                marks.iter().filter(|mark| is(mark)).map(|mark| mark.label as usize).collect()
            };
            let mistake = Mistake {
                row: number,
                text: row.text.map(str::to_owned),
                truth: labels(|mark| mark.is_true),
                predicted: labels(|mark| mark.is_predicted),
                confidence,
            };
            self.most_confident.insert(place, mistake);
        }
    }

    fn measure(&mut self, tokens: usize, is_right: bool) {
        let bucket = tokens.div_ceil(SHORTEST).max(1).next_power_of_two().ilog2() as usize;
        if self.lengths.len() <= bucket {
            self.lengths.resize(bucket + 1, (0, 0));
        }
        let (rows, mistakes) = &mut self.lengths[bucket];
        *rows += 1;
        *mistakes += usize::from(!is_right);
    }

    pub fn most_confident(&self) -> &[Mistake] {
        &self.most_confident
    }

    /// The pairs that are confused, the most frequent first; of equals, in label order.
    pub fn pairs(&self) -> Vec<ConfusedPair> {
        let pair = |(&(truth, predicted), &rows): (&(u32, u32), &usize)| ConfusedPair {
            truth: truth as usize,
            predicted: predicted as usize,
            rows,
        };
        let mut pairs: Vec<ConfusedPair> = self.pairs.iter().map(pair).collect();
        pairs.sort_by_key(|pair| Reverse(pair.rows));
        pairs
    }

    /// The lengths that there are rows of, rising.
    pub fn lengths(&self) -> Vec<Length> {
        let length = |(bucket, &(rows, mistakes)): (usize, &(usize, usize))| Length {
            from: if bucket == 0 { 0 } else { (SHORTEST << (bucket - 1)) + 1 },
            to: SHORTEST << bucket,
            rows,
            mistakes,
        };
        self.lengths.iter().enumerate().map(length).filter(|length| length.rows > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABEL_1_FOR_2: [Mark; 2] = [
        Mark { label: 1, is_true: false, is_predicted: true },
        Mark { label: 2, is_true: true, is_predicted: false },
    ];

    #[test]
    fn the_most_confident_are_kept_whatever_their_order() {
        let rows = [(0, 0.5), (1, 0.9), (2, 0.7), (3, 0.9), (4, 0.1), (5, 0.7)];
        for rotation in 0..rows.len() {
            let mut rows = rows;
            rows.rotate_left(rotation);
            let mut mistakes = Mistakes::new(3);
            for (number, confidence) in rows {
                mistakes.push(number, &Row::new(&[2], &[]), &LABEL_1_FOR_2, confidence);
            }
            let kept: Vec<usize> = mistakes.most_confident().iter().map(|kept| kept.row).collect();
            assert_eq!(kept, [1, 3, 2]);
        }
        let mut none = Mistakes::new(0);
        none.push(0, &Row::new(&[2], &[]), &LABEL_1_FOR_2, 0.9);
        assert!(none.most_confident().is_empty());
        assert_eq!(none.pairs(), [ConfusedPair { truth: 2, predicted: 1, rows: 1 }]);
    }

    #[test]
    fn every_length_is_in_the_bucket_that_names_it() {
        for tokens in [0, 1, 8, 9, 16, 17, 32, 33, 512, 513, 100_000] {
            let mut mistakes = Mistakes::new(0);
            mistakes.measure(tokens, false);
            let [length] = mistakes.lengths()[..] else { panic!("one length") };
            assert!(length.from <= tokens && tokens <= length.to, "{tokens}: {length:?}");
            assert!(length.from == 0 || length.to == 2 * (length.from - 1), "{length:?}");
            assert_eq!((length.rows, length.mistakes), (1, 1));
        }
    }
}
