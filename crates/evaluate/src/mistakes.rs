//! [`Mistakes`]: misclassified rows, for error analysis.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::decisions::{Mark, is_right};
use crate::evaluation::Row;

/// Misclassified row.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Mistake {
    /// [Number](crate::Row::number) of the row.
    pub row: usize,
    /// Text, if it was given.
    pub text: Option<String>,
    /// Ids of the true labels, in ascending order.
    #[cfg_attr(feature = "serde", serde(rename = "true"))]
    pub truth: Vec<usize>,
    /// Ids of the predicted labels, in ascending order.
    pub predicted: Vec<usize>,
    /// Confidence in the wrong prediction: the probability of the predicted label; for a multi-label model, the highest
    /// probability of a wrong decision for or against a label.
    pub confidence: f32,
}

/// Number of rows in which one label is missed and another one is wrongly predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ConfusedPair {
    /// Id of the label that is true but not predicted.
    #[cfg_attr(feature = "serde", serde(rename = "true"))]
    pub truth: usize,
    /// Id of the label that is predicted but not true.
    pub predicted: usize,
    /// Number of rows.
    pub rows: usize,
}

/// Row and mistake counts for a range of text lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Length {
    /// Smallest number of tokens, inclusive.
    pub from: usize,
    /// Largest number of tokens, inclusive.
    pub to: usize,
    /// Number of rows.
    pub rows: usize,
    /// Number of misclassified rows.
    pub mistakes: usize,
}

/// Upper end, in tokens, of the first bucket of lengths. Each following bucket ends at twice the length.
const SHORTEST: usize = 8;

#[derive(Clone, Debug)]
pub(crate) struct Mistakes {
    /// Maximum number of most confident mistakes.
    keep: usize,
    /// Most confident mistakes in descending order; ties are in row order.
    most_confident: Vec<Mistake>,
    pairs: BTreeMap<(u32, u32), usize>,
    /// Number of rows and mistakes of each bucket of lengths.
    lengths: Vec<(usize, usize)>,
}

impl Mistakes {
    pub fn new(keep: usize) -> Self {
        Self { keep, most_confident: Vec::new(), pairs: BTreeMap::new(), lengths: Vec::new() }
    }

    /// Adds a row, correct or not, with the confidence in the wrong prediction if there is one.
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

    /// Returns the confused pairs, most frequent first; ties are in label order.
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

    /// Returns the buckets of lengths that occur, in ascending order.
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
    fn keeps_the_most_confident_mistakes_in_any_input_order() {
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
    fn buckets_contain_their_lengths() {
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
