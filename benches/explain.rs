//! Explanations of a text of 128 tokens with each method, compared with the forward pass, for a model of
//! DistilBERT-base's size and the bundled model: `cargo bench --bench explain`.
//!
//! Before anything is timed, the logits of an explanation must equal those of the forward pass bit for bit, and its
//! relevances must sum to the logit. The cost of a method in forward passes is measured in interleaved rounds.

mod support;

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::Criterion;
use distilbert::explain::{ExplainOptions, Method};
use distilbert::{Classifier, Precision, TokenBatch};
use support::{Model, row, thread_counts};
use test_support::bundled_model;

const TOKENS: usize = 128;
const ROUNDS: usize = 21;

const ONE_PASS: [Method; 3] = [Method::Lrp, Method::AttnLrp, Method::GradientXInput];
const INTEGRATED: Method = Method::IntegratedGradients { steps: 50 };

fn main() {
    let model = Model::generate();
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let models = [("base", model.folder(Precision::F32)), ("bundled", bundled_model())];
    let counts = thread_counts(&model);
    for (threads, (name, folder)) in counts.iter().flat_map(|&n| models.iter().map(move |m| (n, m)))
    {
        let text = Text::new(Classifier::builder(folder).threads(threads).build().unwrap());
        let name = format!("{name}/{threads} threads");
        let mut group = criterion.benchmark_group(&name);
        group.bench_function("forward pass", |bencher| bencher.iter(|| text.classify()));
        for method in ONE_PASS {
            text.check(method);
            group.bench_function(method.name(), |bencher| bencher.iter(|| text.explain(method)));
        }
        text.check(INTEGRATED);
        group.finish();
        text.print_costs(&name);
    }
    criterion.final_summary();
}

/// Token ids of a text, and the classifier that explains it.
struct Text {
    classifier: Classifier,
    batch: TokenBatch,
}

impl Text {
    fn new(classifier: Classifier) -> Self {
        Self { classifier, batch: TokenBatch::from_rows(&[row(TOKENS)]).unwrap() }
    }

    fn classify(&self) {
        black_box(self.classifier.logits(&self.batch).unwrap());
    }

    fn explain(&self, method: Method) {
        let options = ExplainOptions::default().method(method);
        black_box(self.classifier.explain_tokens(&self.batch, &options).unwrap());
    }

    fn check(&self, method: Method) {
        let options = ExplainOptions::default().method(method);
        let explanation = self.classifier.explain_tokens(&self.batch, &options).unwrap().remove(0);
        let logits = self.classifier.logits(&self.batch).unwrap();
        assert_eq!(explanation.prediction().logits(), logits, "{method}: other logits");
        let unexplained = explanation.unexplained().abs();
        println!("{method}: {unexplained:.1e} of {:.1} unexplained", explanation.logit());
        // Relevances of random weights are about a hundred times the logit and cancel.
        assert!(unexplained <= 1e-1, "{method}: relevance is not conserved");
    }

    /// Prints the cost of each method: the median and the quartiles over rounds.
    fn print_costs(&self, name: &str) {
        let print = |method: Method, mut costs: Vec<f64>, unit: &str| {
            costs.sort_by(f64::total_cmp);
            let [low, median, high] = [1, 2, 3].map(|quarter| costs[quarter * costs.len() / 4]);
            println!("{name}, {method}: {median:.3} ({low:.3} to {high:.3}) {unit}");
        };
        for method in ONE_PASS {
            let costs = (0..ROUNDS).map(|_| {
                let forward = second_of_two(|| self.classify());
                second_of_two(|| self.explain(method)) / forward
            });
            print(method, costs.collect(), "forward passes");
        }
        let costs = (0..ROUNDS / 3).map(|_| {
            let gradient = second_of_two(|| self.explain(Method::GradientXInput));
            seconds(|| self.explain(INTEGRATED)) / gradient
        });
        print(INTEGRATED, costs.collect(), "forward and backward passes");
    }
}

/// Times the second of two calls; the first one warms the caches.
fn second_of_two(work: impl Fn()) -> f64 {
    work();
    seconds(work)
}

fn seconds(work: impl Fn()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}
