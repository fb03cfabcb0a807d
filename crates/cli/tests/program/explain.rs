//! `distilbert explain`.

use crate::support::{
    bundled, edited_model, failed_with_one_line, objects, path, program, run, run_with_input,
    stderr, stdout, succeeded,
};
use distilbert::explain::{
    ExplainOptions, Explanation, Method, Objective, Order, PerturbOptions, Target,
};
use serde_json::{Value, json};
use test_support::list;

const TEXT: &str = "I can't believe we won!";

fn explain(options: &[&str]) -> std::process::Output {
    run(&[&["explain"], options].concat())
}

/// Returns the JSON object for one text.
fn explained(options: &[&str]) -> Value {
    let output = explain(&[&["--json"], options].concat());
    let mut objects = objects(succeeded(&output));
    assert_eq!(objects.len(), 1);
    objects.pop().unwrap()
}

/// Checks a number of the JSON up to the rounding of the JSON reader.
#[track_caller]
fn check_double(found: &Value, expected: f64) {
    assert!(
        (found.as_f64().unwrap() - expected).abs() <= 1e-15 * expected.abs(),
        "{found} {expected}"
    );
}

/// Returns the bits of a number of the JSON.
fn single(value: &Value) -> u32 {
    value.to_string().parse::<f32>().unwrap().to_bits()
}

// JSON output.

fn check_json(object: &Value, expected: &Explanation) {
    assert_eq!(object["text"], expected.text());
    assert_eq!(object["label"], expected.prediction().label());
    assert_eq!(object["method"], expected.method().name());
    assert_eq!(object["target"], expected.target());
    assert_eq!(object["against"], json!(expected.against()));
    assert_eq!(single(&object["logit"]), expected.logit().to_bits());
    assert_eq!(single(&object["score"]), expected.score().to_bits());
    check_double(&object["value"], expected.value());
    check_double(&object["unexplained"], expected.unexplained());
    assert_eq!(object["dropped_tokens"], 0);
    let tokens = expected.tokens().iter();
    let tokens = tokens.map(|token| (&token.text, token.start, token.end, token.relevance));
    let words = expected.words().iter();
    let words = words.map(|word| (&word.text, word.start, word.end, word.relevance));
    let parts = [("tokens", tokens.collect::<Vec<_>>()), ("words", words.collect())];
    for (key, expected) in parts {
        let found = list(&object[key]);
        assert_eq!(found.len(), expected.len(), "{key}");
        for (found, (text, start, end, relevance)) in found.iter().zip(expected) {
            let keys: Vec<&String> = found.as_object().unwrap().keys().collect();
            assert_eq!(keys, ["text", "start", "end", "relevance"]);
            assert_eq!(found["text"], text.as_str());
            assert_eq!((&found["start"], &found["end"]), (&json!(start), &json!(end)));
            assert_eq!(single(&found["relevance"]), relevance.to_bits(), "{key}: {text}");
        }
    }
    let ledger = object["ledger"].as_object().unwrap();
    let expected = expected.ledger().entries();
    assert!(ledger.keys().eq(expected.iter().map(|share| share.0)));
    expected.iter().for_each(|(name, share)| check_double(&ledger[*name], *share));
}

#[test]
fn json_matches_the_library() {
    let given = [TEXT, "", "naïve 😀 \"quoted\" \u{1b}[31m", "I miss you so much."];
    let output = explain(&[&["--json"], &given[..]].concat());
    let objects = objects(succeeded(&output));
    let expected = bundled().explain_batch(&given, &ExplainOptions::default()).unwrap();
    assert_eq!(objects.len(), given.len());
    for (object, expected) in objects.iter().zip(&expected) {
        let keys: Vec<&String> = object.as_object().unwrap().keys().collect();
        let first = ["text", "label", "method", "settings", "target", "against", "objective"];
        let then = ["logit", "score", "value", "tokens", "words", "ledger", "unexplained"];
        assert_eq!(keys, [&first[..], &then[..], &["dropped_tokens", "truncated_at"]].concat());
        assert_eq!(object["objective"], "logit");
        assert_eq!(object["settings"]["precision"], "f32");
        check_json(object, expected);
    }
}

#[test]
fn options_select_method_target_and_objective() {
    let steps = Method::IntegratedGradients { steps: 7 };
    let usual = Method::IntegratedGradients { steps: 50 };
    for (method, options) in [
        (Method::AttnLrp, &["--method", "attnlrp"][..]),
        (Method::GradientXInput, &["--method", "gradient-x-input"]),
        (steps, &["--method", "integrated-gradients", "--steps", "7"]),
        (usual, &["--method", "integrated-gradients"]),
    ] {
        let object = explained(&[options, &[TEXT]].concat());
        let expected = bundled().explain(TEXT, &ExplainOptions::default().method(method)).unwrap();
        check_json(&object, &expected);
        let steps = match method {
            Method::IntegratedGradients { steps } => json!(steps),
            _ => Value::Null,
        };
        assert_eq!(object["settings"]["steps"], steps);
    }

    let object = explained(&["--target", "surprise", "--against", "fear", TEXT]);
    let options = ExplainOptions::default().target(Target::against("surprise", "fear"));
    check_json(&object, &bundled().explain(TEXT, &options).unwrap());

    let object = explained(&["--target", "sadness", "--objective", "probability", TEXT]);
    let options = ExplainOptions::default().target(Target::label("sadness"));
    let options = options.objective(Objective::Probability);
    check_json(&object, &bundled().explain(TEXT, &options).unwrap());
    assert_eq!(object["objective"], "probability");
}

#[test]
fn json_has_the_requested_curves() {
    let options = ["--perturb", "--replacement", "mask", "--seed", "5", TEXT];
    let curves = &explained(&options)["curves"];
    assert_eq!(curves["replacement"], "mask");
    assert_eq!(curves["random"]["seed"], 5);
    let classifier = bundled();
    let explanation = classifier.explain(TEXT, &ExplainOptions::default()).unwrap();
    for (key, order) in [
        ("most_relevant_first", Order::MostRelevantFirst),
        ("least_relevant_first", Order::LeastRelevantFirst),
        ("random", Order::Random { seed: 5 }),
    ] {
        let options = PerturbOptions::default().order(order);
        let options = options.replacement(distilbert::explain::Replacement::Mask);
        let expected = classifier.perturb(&explanation, &options).unwrap();
        let found = &curves[key];
        check_double(&found["area_under"], expected.area_under());
        assert_eq!(found["order"], json!(expected.order()));
        let points = list(&found["points"]);
        assert_eq!(points.len(), expected.points().len());
        for (found, expected) in points.iter().zip(expected.points()) {
            assert_eq!(found["replaced"], expected.replaced);
            check_double(&found["fraction"], expected.fraction);
            assert_eq!(single(&found["score"]), expected.score.to_bits());
        }
    }
}

#[test]
fn explains_lines_of_standard_input_in_order() {
    let input = "one\r\n\ntw\u{e9}\nthree";
    let command = program(&["explain", "--json", "--threads", "1"]);
    let output = run_with_input(command, input.as_bytes());
    let texts: Vec<String> = objects(succeeded(&output))
        .iter()
        .map(|object| object["text"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(texts, ["one", "", "twé", "three"]);

    let output = run_with_input(program(&["explain", "--json"]), b"one\ntw\xffo\nthree");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(objects(stdout(&output)).len(), 2);
    assert_eq!(stderr(&output), "error: line 2: not valid UTF-8 at byte 3\n");
}

// Text output.

/// Returns the name, the value and the widths of both bars of a line.
fn row(line: &str) -> Option<(&str, f64, [usize; 2])> {
    let (before, right) = line.split_once('│')?;
    let mut words = before.split_whitespace();
    let (name, value) = (words.next()?, words.next()?.parse().ok()?);
    let left = words.next().map_or(0, |bar| bar.chars().count());
    Some((name, value, [left, right.chars().count()]))
}

#[test]
fn bars_are_proportional_to_relevance() {
    let output = explain(&[TEXT]);
    let table = succeeded(&output);
    assert!(!table.contains('\u{1b}'), "no colors in a pipe: {table:?}");
    let expected = bundled().explain(TEXT, &ExplainOptions::default()).unwrap();
    let mut lines = table.lines();
    assert_eq!(lines.next(), Some(TEXT));
    let (score, logit) = (100.0 * expected.score(), expected.logit());
    let prediction = format!("  happiness  {score:.1}%, logit {logit:+.3}");
    assert_eq!(lines.next(), Some(prediction.as_str()));
    assert_eq!(lines.next(), Some("  relevance for the logit of happiness (lrp)"));

    let mut words = expected.words().to_vec();
    words.sort_by(|a, b| b.relevance.total_cmp(&a.relevance));
    let largest = words.iter().map(|word| word.relevance.abs()).fold(0.0, f32::max);
    let rows: Vec<_> = table.lines().filter_map(row).collect();
    assert_eq!(rows.len(), words.len());
    let longest = rows.iter().flat_map(|row| row.2).max().unwrap() as f32;
    for ((name, value, [left, right]), word) in rows.into_iter().zip(words) {
        assert_eq!(name, word.text);
        assert!((value - f64::from(word.relevance)).abs() < 0.6e-3);
        let (bar, none) = if word.relevance < 0.0 { (left, right) } else { (right, left) };
        assert_eq!(none, 0, "{name}");
        assert!((bar as f32 - longest * word.relevance.abs() / largest).abs() <= 1.1, "{name}");
    }

    let words: f32 = expected.words().iter().map(|word| word.relevance).sum();
    let all: f32 = expected.tokens().iter().map(|token| token.relevance).sum();
    let (bias, unexplained) = (expected.ledger().bias, expected.unexplained());
    let ledger = format!(
        "  logit {logit:+.3} = words {words:+.3} + special tokens {:+.3} + bias {bias:+.3} \
         (unexplained {unexplained:.0e})",
        all - words
    );
    assert_eq!(table.lines().last(), Some(ledger.as_str()));
}

#[test]
fn long_text_has_bars_for_the_most_relevant_words() {
    let sentence = "nobody was really sad that day, and 日本語 was not spoken; ";
    let text = sentence.repeat(32);
    let output = explain(&[&text]);
    let table = succeeded(&output);
    let shown: Vec<&str> = table.lines().take_while(|line| !line.starts_with("  ")).collect();
    assert!(shown.iter().all(|line| line.len() <= 90), "{shown:?}");
    let joined = shown.join(" ");
    assert!(joined.split_whitespace().eq(text.split_whitespace()));

    let expected = bundled().explain(&text, &ExplainOptions::default()).unwrap();
    let mut words = expected.words().to_vec();
    assert!(words.len() > 400);
    words.sort_by(|a, b| b.relevance.abs().total_cmp(&a.relevance.abs()));
    let rest: f32 = words[20..].iter().map(|word| word.relevance).sum();
    assert_eq!(table.lines().filter_map(row).count(), 20);
    let (count, line) =
        (words.len() - 20, table.lines().find(|line| line.contains(" more words ")));
    let expected = format!("  {count} more words with less relevance total ");
    let sum = line.unwrap().strip_prefix(expected.as_str()).unwrap();
    assert!((sum.parse::<f32>().unwrap() - rest).abs() < 1e-3, "{line:?} {rest}");
}

#[test]
fn colors_show_the_sign_of_relevance_unless_disabled() {
    let mut command = program(&["explain", TEXT]);
    command.env("CLICOLOR_FORCE", "1");
    let output = run_with_input(command, b"");
    let text = succeeded(&output).lines().next().unwrap().to_owned();
    let (before, after) = text.split_once("can't").unwrap();
    assert!(before.ends_with("\u{1b}[38;5;98m"), "{text:?}");
    let (_, before_won) = after.split_once("\u{1b}[0m").unwrap();
    let (before_won, _) = before_won.split_once("won").unwrap();
    assert!(before_won.ends_with("\u{1b}[38;5;172m"), "{text:?}");

    let mut command = program(&["explain", TEXT]);
    command.env("CLICOLOR_FORCE", "1").env("NO_COLOR", "1");
    assert!(!succeeded(&run_with_input(command, b"")).contains('\u{1b}'));
}

#[test]
fn escapes_control_characters() {
    let output = explain(&["\u{1b}[2Jgone\rover\u{9b}31m\nand \u{202e}on"]);
    let table = succeeded(&output);
    assert!(!table.contains(['\u{1b}', '\r', '\u{9b}', '\u{202e}']), "{table:?}");
    assert_eq!(table.lines().next(), Some(r"\u{1b}[2Jgone over\u{9b}31m and \u{202e}on"));
}

#[test]
fn draws_each_curve_on_one_line() {
    let output = explain(&["--perturb", "--replacement", "delete", TEXT]);
    let table = succeeded(&output);
    assert!(table.contains("score of happiness as words are removed (deleted)"), "{table}");
    let classifier = bundled();
    let explanation = classifier.explain(TEXT, &ExplainOptions::default()).unwrap();
    let options = PerturbOptions::default().replacement(distilbert::explain::Replacement::Delete);
    let curve = classifier.perturb(&explanation, &options).unwrap();
    let scores: Vec<f32> = curve.points().iter().map(|point| 100.0 * point.score).collect();
    let line = table.lines().find(|line| line.trim_start().starts_with("most relevant")).unwrap();
    let end = format!(
        "  {:.1}% to {:.1}%, area {:.3}",
        scores[0],
        scores.last().unwrap(),
        curve.area_under()
    );
    assert!(line.ends_with(&end), "{line}");
    let levels = line.chars().filter(|level| ('▁'..='█').contains(level));
    let expected = scores.iter().map(|score| (score / 12.5) as u32);
    assert!(levels.map(|level| level as u32 - '▁' as u32).eq(expected), "{line}");
}

#[test]
fn names_the_target_if_it_is_not_predicted() {
    let output = explain(&["--target", "sadness", "--against", "fear", TEXT]);
    let mut lines = succeeded(&output).lines().skip(1);
    let prediction = lines.next().unwrap();
    assert!(prediction.starts_with("  happiness  "), "{prediction}");
    assert!(prediction.contains("; explaining sadness  "), "{prediction}");
    let heading = "  relevance for the logit of sadness rather than fear (lrp)";
    assert_eq!(lines.next(), Some(heading));
}

#[test]
fn notes_empty_and_truncated_texts() {
    let output = explain(&[""]);
    let table = succeeded(&output);
    assert!(table.starts_with("(empty text)\n  neutral "), "{table}");
    assert!(table.contains(" = words 0.000 + special tokens "), "{table}");

    let output = explain(&[&vec!["word"; 600].join(" ")]);
    let last = succeeded(&output).lines().last().unwrap();
    assert_eq!(last.trim(), "the last 90 tokens were dropped: the model takes at most 512");
}

#[test]
fn explains_the_value_of_a_regression() {
    let folder = edited_model(|config| config["problem_type"] = "regression".into());
    let output = explain(&["--perturb", "--model", path(&folder), TEXT]);
    let table = succeeded(&output);
    assert!(table.contains("relevance for the value of happiness (lrp)"), "{table}");
    assert!(table.contains("  value +") && !table.contains('%'), "{table}");
    let output = explain(&["--objective", "probability", "--model", path(&folder), TEXT]);
    assert!(failed_with_one_line(&output, 2).contains("no probability"));
}

// Errors.

#[test]
fn errors_are_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let (file, inside) = (file.to_str().unwrap(), file.join("why.html"));
    let inside = inside.to_str().unwrap();
    for (options, said) in [
        (&["--target", "joy", TEXT][..], "`joy`; the labels are anger, disgust, fear, happiness"),
        (&["--target", "fear", "--against", "joy", TEXT], "`joy`"),
        (
            &["--target", "fear", "--against", "fear", TEXT],
            "`fear` cannot be explained against itself",
        ),
        (&["--precision", "int8", TEXT], "found int8"),
        (&["--html", inside, TEXT], inside),
        (&["--svg", file, TEXT], file),
        (&["--html", "a.html", TEXT, TEXT], "one text, found more"),
        (&["--model", "no/such/folder", TEXT], "no/such/folder"),
    ] {
        let message = failed_with_one_line(&explain(options), 2).to_owned();
        assert!(message.contains(said), "{message}");
    }
    for (input, count) in [("", "none"), ("one\ntwo\nthree\n", "more")] {
        let command = program(&["explain", "--html", "a.html"]);
        let output = run_with_input(command, input.as_bytes());
        let message = failed_with_one_line(&output, 2);
        assert!(message.contains(&format!("one text, found {count}")), "{message}");
    }
}

#[test]
fn usage_errors_exit_with_2() {
    for options in [
        &["--method", "guess", TEXT][..],
        &["--steps", "0", "--method", "integrated-gradients", TEXT],
        &["--steps", "5", TEXT],
        &["--against", "fear", TEXT],
        &["--objective", "loss", TEXT],
        &["--replacement", "pad", TEXT],
        &["--seed", "1", TEXT],
        &["--perturb", "--replacement", "nothing", TEXT],
        &["--threads", "0", TEXT],
    ] {
        let output = explain(options);
        assert_eq!(output.status.code(), Some(2), "{options:?}");
        assert_eq!(stdout(&output), "", "{options:?}");
        assert!(stderr(&output).contains("Usage:") || stderr(&output).contains("--help"));
    }
}
