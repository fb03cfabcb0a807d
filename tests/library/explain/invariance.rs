//! Explanations are independent of the batch, the threads and the storage of the weights.

use super::*;

fn bits(explanation: &Explanation) -> Vec<u32> {
    let values = relevances(explanation);
    let logits = explanation.prediction().logits();
    values.iter().chain(logits).map(|value| value.to_bits()).collect()
}

#[test]
fn relevances_are_bit_identical_in_any_batch_and_on_any_threads() {
    let mut config = GeneratedModel::small().config;
    for (field, value) in
        [("dim", 36), ("n_heads", 3), ("hidden_dim", 53), ("max_position_embeddings", 120)]
    {
        config[field] = value.into();
    }
    check(&GeneratedModel::new(config, 11));
}

#[test]
fn relevances_of_pruned_layers_are_bit_identical_in_any_batch_and_on_any_threads() {
    let mut config = GeneratedModel::pruned().config;
    config["max_position_embeddings"] = 120.into();
    check(&GeneratedModel::new(config, 11));
}

/// Explains every row in shuffled batches on 1 to 3 threads, and compares it with the row alone.
fn check(model: &GeneratedModel) {
    let folder = TempDir::new().unwrap();
    model.write(folder.path());
    let mut dice = Dice(3);
    let rows: Vec<Vec<u32>> =
        (0..60).map(|_| (0..=dice.below(120)).map(|_| dice.below(120) as u32).collect()).collect();
    let explain = |classifier: &Classifier, rows: &[&Vec<u32>], method| {
        let batch = TokenBatch::from_rows(rows).unwrap();
        let options = ExplainOptions::default().method(method);
        let explanations = classifier.explain_tokens(&batch, &options).unwrap();
        assert_eq!(
            classifier.logits(&batch).unwrap(),
            explanations.iter().flat_map(|e| e.prediction().logits()).copied().collect::<Vec<_>>(),
            "other logits"
        );
        explanations
    };
    let all = METHODS.into_iter().chain([Method::IntegratedGradients { steps: 3 }]);
    for (set, method) in
        InstructionSet::detected().into_iter().flat_map(|set| all.clone().map(move |m| (set, m)))
    {
        let classifier = |threads| {
            let builder = Classifier::builder(folder.path()).instruction_set(set);
            builder.threads(threads).build().unwrap()
        };
        let one = classifier(1);
        let alone: Vec<Explanation> =
            rows.iter().map(|row| explain(&one, &[row], method).remove(0)).collect();
        for threads in 1..=3 {
            let many = classifier(threads);
            let mut order: Vec<usize> = (0..rows.len()).collect();
            dice.shuffle(&mut order);
            for batch in order.chunks(1 + dice.below(40)) {
                let batch_rows: Vec<&Vec<u32>> = batch.iter().map(|&row| &rows[row]).collect();
                for (&row, found) in batch.iter().zip(explain(&many, &batch_rows, method)) {
                    let place = format!("row {row}, {method} on {set}, {threads} threads");
                    assert_eq!(bits(&found), bits(&alone[row]), "{place}");
                    assert_eq!(found.ledger(), alone[row].ledger(), "{place}");
                }
            }
        }
    }
}

/// Several threads may make the first explanation at the same time, which initializes shared state, even from within the
/// thread pool that computes it.
#[test]
fn supports_concurrent_callers() {
    use rayon::prelude::*;
    let pool = std::sync::Arc::new(rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap());
    let rows: Vec<Vec<u32>> = (2..40).map(|length| (1000..1000 + length).collect()).collect();
    let explain = |classifier: &Classifier, row: &Vec<u32>| {
        let batch = TokenBatch::from_rows(&[row]).unwrap();
        bits(&classifier.explain_tokens(&batch, &ExplainOptions::default()).unwrap()[0])
    };
    let builder = || Classifier::builder(bundled_model());
    let alone = builder().threads(1).build().unwrap();
    let expected: Vec<_> = rows.iter().map(|row| explain(&alone, row)).collect();
    let own = builder().threads(2).build().unwrap();
    let shared = builder().thread_pool(pool.clone()).build().unwrap();
    for classifier in [own, shared] {
        let found: Vec<_> =
            pool.install(|| rows.par_iter().map(|row| explain(&classifier, row)).collect());
        assert!(found == expected);
    }
}

/// 16-bit weights are widened as they are read, so an f16 checkpoint loses nothing.
#[test]
fn f16_and_f32_checkpoints_give_the_same_relevances() {
    let folder = TempDir::new().unwrap();
    GeneratedModel::small().stored_as(Dtype::F16).write(folder.path());
    let rows: Vec<Vec<u32>> = (1..40).map(|length| (1..=length).collect()).collect();
    let batch = TokenBatch::from_rows(&rows).unwrap();
    for set in InstructionSet::detected() {
        for method in METHODS {
            let [f32, f16] = [Precision::F32, Precision::F16].map(|precision| {
                let builder = Classifier::builder(folder.path()).instruction_set(set);
                let classifier = builder.precision(precision).build().unwrap();
                let options = ExplainOptions::default().method(method);
                classifier.explain_tokens(&batch, &options).unwrap()
            });
            assert!(f32.iter().map(bits).eq(f16.iter().map(bits)), "{method} on {set}");
        }
    }
}
