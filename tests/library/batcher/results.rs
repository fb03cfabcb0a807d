//! Results, batches and their order.

use super::*;

#[test]
fn results_have_the_bits_of_classify_under_many_threads() {
    let classifier = classifier();
    let rows: Vec<Vec<u32>> =
        token_goldens().into_iter().map(|(_, ids)| ids).filter(|ids| ids.len() <= 512).collect();
    let rows: Vec<&Vec<u32>> = rows.iter().step_by(40).collect();
    let words = ["won", "terrible", "We miss you", "what", "7", "ü", "\u{1F600}"];
    let mut dice = Dice(5);
    let mut text =
        |_| (0..dice.below(60)).map(|_| words[dice.below(7)]).collect::<Vec<_>>().join(" ");
    let texts: Vec<String> = (0..60).map(&mut text).collect();
    let alone: Vec<_> = texts.iter().map(|text| classifier.classify(text).unwrap()).collect();
    let alone_rows: Vec<_> = rows
        .iter()
        .map(|row| {
            classifier.classify_tokens(&TokenBatch::from_rows(&[row]).unwrap()).unwrap().remove(0)
        })
        .collect();
    let batcher = Batcher::builder(classifier).workers(2).build().unwrap();
    thread::scope(|scope| {
        for seed in 0..8 {
            let (batcher, texts, rows, alone, alone_rows) =
                (&batcher, &texts, &rows, &alone, &alone_rows);
            scope.spawn(move || {
                let mut dice = Dice(seed);
                for _ in 0..4 {
                    let chosen: Vec<usize> = (0..6).map(|_| dice.below(texts.len())).collect();
                    let row = dice.below(rows.len());
                    let pending: Vec<Pending> =
                        chosen.iter().map(|&text| batcher.submit(&texts[text]).unwrap()).collect();
                    let ids = batcher.submit_tokens(rows[row]).unwrap();
                    for (&text, pending) in chosen.iter().zip(pending) {
                        assert_eq!(block_on(pending).unwrap(), alone[text]);
                    }
                    let found = ids.wait().unwrap();
                    assert_eq!(bits(&found), bits(&alone_rows[row]));
                    assert_eq!(found, alone_rows[row]);
                }
            });
        }
    });
    let statistics = batcher.statistics().unwrap();
    assert_eq!((statistics.accepted, statistics.completed), (224, 224));
    assert_eq!((statistics.queued_requests, statistics.queued_tokens), (0, 0));
    assert_eq!(statistics.queue_seconds.count(), 224);
    assert_eq!(statistics.batch_requests.sum(), 224.0);
    assert_eq!(statistics.batch_tokens.count(), statistics.compute_seconds.count());
}

#[test]
fn windows_and_cuts_are_those_of_classify() {
    let classifier = classifier();
    let book = "We won! I can't believe it, what a terrible shock. ".repeat(200);
    let batcher = Batcher::builder(classifier.clone()).workers(2).build().unwrap();
    let truncations = [
        Truncation::Windows { stride: 64, max_windows: Some(5) },
        Truncation::Left,
        Truncation::Right,
    ];
    for truncation in truncations {
        let options = ClassifyOptions::default().truncation(truncation).count_dropped_tokens(true);
        let expected = classifier.classify_with(&book, &options).unwrap();
        let options = SubmitOptions::default().truncation(truncation).count_dropped_tokens(true);
        let found = batcher.submit_with(&book, &options).unwrap();
        assert!(found.tokens() >= expected.tokens());
        let found = found.wait().unwrap();
        assert_eq!(bits(&found), bits(&expected));
        assert_eq!(found, expected);
        assert!(found.truncated());
    }
}

/// The gate shows the batches: five of one window each, and the short text in the second.
#[test]
fn cascades_answer_as_classify_does() {
    let margin = Margin::new(2.0).unwrap();
    let builder = Classifier::builder(bundled_model()).threads(1);
    let classifier = Arc::new(builder.precision(Precision::Cascade { margin }).build().unwrap());
    let windows = Truncation::Windows { stride: 64, max_windows: Some(3) };
    let short = ["I miss you.", "What?", "So sad.", "We won!", "Is it today?", "Disgusting."];
    let long = short.join(" ").repeat(60);
    let texts: Vec<&str> = short.into_iter().chain([long.as_str()]).collect();
    let batcher = Batcher::builder(classifier.clone()).workers(1).build().unwrap();
    let options = SubmitOptions::default().truncation(windows);
    let pending: Vec<Pending> =
        texts.iter().map(|text| batcher.submit_with(text, &options).unwrap()).collect();
    let options = ClassifyOptions::default().truncation(windows);
    let expected = classifier.classify_batch_with(&texts, &options).unwrap();
    let found: Vec<_> = pending.into_iter().map(|pending| pending.wait().unwrap()).collect();
    assert_eq!(found, expected);
    for precision in [Precision::Int8, Precision::F32] {
        assert!(found.iter().any(|answer| answer.precision() == precision), "{precision}");
    }
}

#[test]
fn a_long_text_blocks_a_short_one_for_one_batch() {
    let (batcher, gate, first) = held(|builder| builder);
    let options = SubmitOptions::default()
        .truncation(Truncation::Windows { stride: 64, max_windows: Some(5) });
    let mut long = batcher.submit_with(&"We won! ".repeat(2000), &options).unwrap();
    let short = batcher.submit(TEXT).unwrap();
    gate.0.open();
    first.wait().unwrap();
    short.wait().unwrap();
    assert!(!long.is_ready());
    assert!(long.wait_timeout(LONG).unwrap().is_ok());
    assert_eq!(gate.0.batches(), [1; 7]);
    let timing = long.timing().unwrap();
    assert!(timing.compute > Duration::ZERO && timing.tokenization > Duration::ZERO);
}

#[test]
fn waiting_requests_become_one_batch_up_to_the_budget() {
    let (batcher, gate, _first) = held(|builder| builder.batch_tokens(10));
    let pending: Vec<Pending> = (0..7).map(|_| batcher.submit_tokens(IDS).unwrap()).collect();
    assert_eq!(batcher.statistics().unwrap().queued_tokens, 21);
    gate.0.open();
    pending.into_iter().for_each(|pending| drop(pending.wait().unwrap()));
    assert_eq!(gate.0.batches(), [1, 3, 3, 1]);
}

#[test]
fn bad_input_fails_at_once_and_alone() {
    let batcher = Batcher::builder(classifier()).workers(1).build().unwrap();
    let strict = SubmitOptions::default().truncation(Truncation::Error);
    let book = "We won! ".repeat(2000);
    let too_long = batcher.submit_with(&book, &strict).unwrap_err();
    assert!(matches!(
        too_long,
        Error::Input(
            InputError::TooManyTokens { row: 0, .. } | InputError::TextTooLong { row: 0, .. }
        )
    ));
    let empty = batcher.submit_tokens(&[]).unwrap_err();
    assert!(matches!(empty, Error::Input(InputError::EmptyRow { row: 0 })));
    let unknown = batcher.submit_tokens(&[101, u32::MAX, 102]).unwrap_err();
    assert!(matches!(unknown, Error::Input(InputError::TokenId { row: 0, id: u32::MAX, .. })));
    let long = batcher.submit_tokens(&[101; 513]).unwrap_err();
    assert!(matches!(
        long,
        Error::Input(InputError::TooManyTokens { tokens: 513, limit: 512, .. })
    ));
    assert!(batcher.submit(TEXT).unwrap().wait().is_ok());
    assert_eq!(batcher.statistics().unwrap().accepted, 1);
}

#[test]
fn classifiers_of_other_models_are_refused() {
    let folder = tempfile::TempDir::new().unwrap();
    GeneratedModel::small().write(folder.path());
    let other = Classifier::builder(folder.path()).threads(1).build().unwrap();
    let error = batcher_error(Batcher::builder(classifier()).classifier(other).build());
    assert!(matches!(error, BatcherError::DifferentModels { index: 1, what: "labels" }));
}

#[test]
fn several_classifiers_share_the_queue() {
    let (first, second) = (classifier(), classifier());
    let expected = first.classify(TEXT).unwrap();
    let batcher = Batcher::builder(first).classifier(second).workers(1).build().unwrap();
    let pending: Vec<Pending> = (0..50).map(|_| batcher.submit(TEXT).unwrap()).collect();
    for pending in pending {
        assert_eq!(pending.wait().unwrap(), expected);
    }
}

#[test]
fn debug_shows_the_state() {
    let (batcher, _gate, first) = held(|builder| builder);
    let shown = format!("{batcher:?} {first:?}");
    assert!(shown.contains("workers: 1") && shown.contains("tokens: 3"), "{shown}");
}
