//! Serialization with the keys of the program's JSON, where it differs from the fields of the types.

use distilbert::explain;
use serde::de::Error as _;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    Agreement, Average, Calibration, Class, ConfusedPair, Estimate, Length, MarginCurve,
    MethodComparison, Mistake, Ranking, Report, Scores,
};

macro_rules! impl_serde_as_string {
    ($($type:ident),+) => {
        $(
            impl Serialize for $type {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.collect_str(self)
                }
            }

            impl<'de> Deserialize<'de> for $type {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
                }
            }
        )+
    };
}

impl_serde_as_string!(Average, Ranking);

/// Confidence level of every interval.
const CONFIDENCE: f64 = 0.95;

impl Serialize for Calibration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("expected_error", &self.expected_error())?;
        map.serialize_entry("bins", &self.bins())?;
        map.end()
    }
}

impl Serialize for Length {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("tokens", &[self.from, self.to])?;
        map.serialize_entry("rows", &self.rows)?;
        map.serialize_entry("mistakes", &self.mistakes)?;
        map.end()
    }
}

impl Serialize for Agreement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(7))?;
        map.serialize_entry("rows", &self.rows())?;
        map.serialize_entry("label_agreement", &self.label_agreement())?;
        map.serialize_entry("same_label", &self.same())?;
        map.serialize_entry("largest_logit_difference", &self.largest_logit_difference())?;
        map.serialize_entry("mean_logit_difference", &self.mean_logit_difference())?;
        map.serialize_entry("labeled_rows", &self.labeled_rows())?;
        map.serialize_entry("accuracies", &self.accuracies())?;
        map.end()
    }
}

impl Serialize for MarginCurve {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let wanted = Self::AGREEMENT;
        let mut map = serializer.serialize_map(Some(5))?;
        map.serialize_entry("confidence", &CONFIDENCE)?;
        map.serialize_entry("points", &self.points())?;
        map.serialize_entry("wanted_agreement", &wanted)?;
        map.serialize_entry("recommended", &self.recommend(wanted))?;
        let confident = self.recommend_with_confidence(wanted);
        map.serialize_entry("recommended_with_confidence", &confident)?;
        map.end()
    }
}

impl Serialize for MethodComparison {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Skipped {
            without_words: usize,
            of_one_word: usize,
        }

        #[derive(Serialize)]
        struct Method {
            method: &'static str,
            #[serde(flatten)]
            means: explain::Faithfulness<Estimate>,
        }

        let skipped =
            Skipped { without_words: self.without_words(), of_one_word: self.of_one_word() };
        let methods = self
            .means()
            .into_iter()
            .map(|(ranking, means)| Method { method: ranking.name(), means });
        let steps = self.rankings().iter().find_map(|ranking| match *ranking {
            Ranking::Method(explain::Method::IntegratedGradients { steps }) => Some(steps),
            _ => None,
        });
        let mut map = serializer.serialize_map(Some(11))?;
        map.serialize_entry("texts", &self.texts())?;
        map.serialize_entry("skipped", &skipped)?;
        map.serialize_entry("truncated", &self.truncated())?;
        map.serialize_entry("objective", &self.objective())?;
        map.serialize_entry("replacement", &self.replacement())?;
        map.serialize_entry("random_orders", &self.random_orders())?;
        map.serialize_entry("steps", &steps)?;
        map.serialize_entry("seed", &self.seed())?;
        map.serialize_entry("resamples", &self.resamples())?;
        map.serialize_entry("confidence", &CONFIDENCE)?;
        map.serialize_entry("methods", &methods.collect::<Vec<_>>())?;
        map.end()
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let classes = self.classes();
        let averages = Average::ALL.iter().filter_map(|&key| Some((key, self.average(key)?)));
        let pairs = self.confused_pairs().iter();
        let mistakes = self.mistakes().iter();
        let mut map = serializer.serialize_map(Some(14))?;
        map.serialize_entry("rows", &self.rows())?;
        map.serialize_entry("accuracy", &self.accuracy().value)?;
        map.serialize_entry("macro_f1", &self.macro_f1().value)?;
        map.serialize_entry("intervals", &Intervals::new(self))?;
        map.serialize_entry(
            "per_class",
            &Entries(classes.iter().map(|class| (&class.label, ClassBody::new(class))).collect()),
        )?;
        map.serialize_entry("averages", &Entries(averages.collect()))?;
        map.serialize_entry("zero_division", &ZeroDivision::new(self))?;
        map.serialize_entry("confusion", self.confusion())?;
        map.serialize_entry("top_k", &Entries(self.top_k().collect()))?;
        map.serialize_entry("log_loss", &self.log_loss())?;
        map.serialize_entry("calibration", self.calibration())?;
        let named: Vec<_> = pairs.map(|pair| NamedPair::new(pair, classes)).collect();
        map.serialize_entry("confused_pairs", &named)?;
        map.serialize_entry("lengths", self.lengths())?;
        let named: Vec<_> = mistakes.map(|mistake| NamedMistake::new(mistake, classes)).collect();
        map.serialize_entry("mistakes", &named)?;
        map.end()
    }
}

/// Entries of a map, in order.
struct Entries<K, V>(Vec<(K, V)>);

impl<K: Serialize, V: Serialize> Serialize for Entries<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

#[derive(Serialize)]
struct Interval {
    low: f64,
    high: f64,
}

impl From<Estimate> for Interval {
    fn from(Estimate { low, high, .. }: Estimate) -> Self {
        Self { low, high }
    }
}

#[derive(Serialize)]
struct Intervals {
    confidence: f64,
    resamples: usize,
    seed: u64,
    accuracy: Interval,
    macro_f1: Interval,
}

impl Intervals {
    fn new(report: &Report) -> Self {
        Self {
            confidence: CONFIDENCE,
            resamples: report.resamples(),
            seed: report.seed(),
            accuracy: report.accuracy().into(),
            macro_f1: report.macro_f1().into(),
        }
    }
}

/// Fields of a class below its label.
#[derive(Serialize)]
struct ClassBody {
    #[serde(flatten)]
    scores: Scores,
    support: usize,
    predicted: usize,
}

impl ClassBody {
    fn new(class: &Class) -> Self {
        Self { scores: class.scores, support: class.support, predicted: class.predicted }
    }
}

#[derive(Serialize)]
struct ZeroDivision<'a> {
    precision: Vec<&'a str>,
    recall: Vec<&'a str>,
    rows_without_truth: usize,
    rows_without_prediction: usize,
}

impl<'a> ZeroDivision<'a> {
    fn new(report: &'a Report) -> Self {
        Self {
            precision: report.never_predicted().collect(),
            recall: report.without_support().collect(),
            rows_without_truth: report.rows_without_truth(),
            rows_without_prediction: report.rows_without_prediction(),
        }
    }
}

/// [`ConfusedPair`] with labels instead of ids.
#[derive(Serialize)]
struct NamedPair<'a> {
    #[serde(rename = "true")]
    truth: &'a str,
    predicted: &'a str,
    rows: usize,
}

impl<'a> NamedPair<'a> {
    fn new(pair: &ConfusedPair, classes: &'a [Class]) -> Self {
        let label = |id: usize| classes[id].label.as_str();
        Self { truth: label(pair.truth), predicted: label(pair.predicted), rows: pair.rows }
    }
}

/// [`Mistake`] with labels instead of ids.
#[derive(Serialize)]
struct NamedMistake<'a> {
    row: usize,
    text: Option<&'a str>,
    #[serde(rename = "true")]
    truth: Vec<&'a str>,
    predicted: Vec<&'a str>,
    confidence: f32,
}

impl<'a> NamedMistake<'a> {
    fn new(mistake: &'a Mistake, classes: &'a [Class]) -> Self {
        let labels = |ids: &[usize]| ids.iter().map(|&id| classes[id].label.as_str()).collect();
        Self {
            row: mistake.row,
            text: mistake.text.as_deref(),
            truth: labels(&mistake.truth),
            predicted: labels(&mistake.predicted),
            confidence: mistake.confidence,
        }
    }
}

#[cfg(test)]
mod tests {
    use distilbert::{Prediction, ProblemType};
    use serde_json::{Value, json};

    use crate::{Agreement, Average, Evaluation, EvaluationOptions, MarginCurve, Ranking, Row};

    #[test]
    fn report_has_the_keys_of_the_program() {
        let labels = ["no", "yes"].map(str::to_owned);
        let kind = ProblemType::SingleLabelClassification;
        let mut evaluation = Evaluation::new(&labels, kind, &EvaluationOptions::default()).unwrap();
        for (truth, scores) in [(1, [0.25, 0.75]), (0, [0.25, 0.75])] {
            let truth = [truth];
            evaluation.push(&Row::new(&truth, &scores).text("text").tokens(9)).unwrap();
        }
        let report = serde_json::to_value(evaluation.report().unwrap()).unwrap();
        assert_eq!(report["accuracy"], 0.5);
        assert_eq!(report["per_class"]["yes"]["recall"], 1.0);
        assert_eq!(report["confusion"], json!([[0, 1], [0, 1]]));
        assert_eq!(report["top_k"], json!({ "1": 0.5, "2": 1.0 }));
        assert_eq!(report["zero_division"]["precision"], json!(["no"]));
        assert_eq!(
            report["confused_pairs"],
            json!([{ "true": "no", "predicted": "yes", "rows": 1 }])
        );
        assert_eq!(report["lengths"], json!([{ "tokens": [9, 16], "rows": 2, "mistakes": 1 }]));
        let mistake = json!({
            "row": 1, "text": "text", "true": ["no"], "predicted": ["yes"], "confidence": 0.75,
        });
        assert_eq!(report["mistakes"], json!([mistake]));
        assert_eq!(report["calibration"]["bins"].as_array().unwrap().len(), 15);
    }

    #[test]
    fn agreement_has_the_keys_of_the_program() {
        let labels = ["no", "yes"].map(str::to_owned);
        let kind = ProblemType::SingleLabelClassification;
        let mut agreement = Agreement::new((&labels, kind), (&labels, kind)).unwrap();
        let prediction =
            |logits: [f32; 2]| Prediction::new(labels.to_vec().into(), logits.to_vec(), kind, None);
        agreement.push(&prediction([1.0, 0.0]), &prediction([1.5, 0.0]), Some(&[0]));
        let expected = json!({
            "rows": 1,
            "label_agreement": 1.0,
            "same_label": 1,
            "largest_logit_difference": 0.5,
            "mean_logit_difference": 0.25,
            "labeled_rows": 1,
            "accuracies": [1.0, 1.0],
        });
        assert_eq!(serde_json::to_value(agreement).unwrap(), expected);
    }

    #[test]
    fn margin_curve_has_the_keys_of_the_program() {
        let labels = ["no", "yes"].map(str::to_owned);
        let kind = ProblemType::SingleLabelClassification;
        let prediction =
            |logits: [f32; 2]| Prediction::new(labels.to_vec().into(), logits.to_vec(), kind, None);
        let mut curve = MarginCurve::new(kind).unwrap();
        curve.push(&prediction([0.125, 0.0]), &prediction([0.0, 1.0]), Some(&[1]));
        let found = serde_json::to_value(curve).unwrap();
        let recommended = &found["recommended"];
        let margin = recommended["margin"].as_f64().unwrap() as f32;
        assert_eq!((margin, &recommended["share"]), (0.13, &json!(1.0)));
        assert_eq!(
            (&recommended["agreement"]["high"], &recommended["accuracy"]),
            (&json!(1.0), &json!(1.0))
        );
        assert_eq!(found["recommended_with_confidence"], Value::Null);
        assert_eq!(found["points"][0]["accuracy"], 0.0);
        assert_eq!(
            (&found["wanted_agreement"], &found["confidence"]),
            (&json!(0.999), &json!(0.95))
        );
    }

    #[test]
    fn options_and_names_round_trip() {
        let options = EvaluationOptions::default().bins(7);
        let value = serde_json::to_value(&options).unwrap();
        assert_eq!(serde_json::from_value::<EvaluationOptions>(value).unwrap(), options);
        let value = serde_json::to_value((Average::Macro, Ranking::Rollout)).unwrap();
        assert_eq!(value, json!(["macro", "rollout"]));
        let read: (Average, Ranking) = serde_json::from_value(value).unwrap();
        assert_eq!(read, (Average::Macro, Ranking::Rollout));
        assert!(serde_json::from_value::<Average>(Value::from("mean")).is_err());
    }
}
