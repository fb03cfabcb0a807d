//! `distilbert classify` and `distilbert info`.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::Output;
use std::sync::mpsc;
use std::time::Duration;

use crate::support::{
    BUNDLED, bits, bundled, edited_model, failed_with_one_line, logits, objects, path, program,
    run, run_with_input, spawn, stderr, stdout, succeeded,
};
use distilbert::{Classifier, InstructionSet};

fn classify_lines(options: &[&str], input: &[u8]) -> Output {
    run_with_input(program(&[&["classify"], options].concat()), input)
}

/// Returns the texts of the JSON objects.
fn texts(output: &str) -> Vec<String> {
    objects(output).iter().map(|object| object["text"].as_str().unwrap().to_owned()).collect()
}

/// Returns a text with `tokens` tokens, not counting special tokens.
fn long_text(tokens: usize) -> String {
    vec!["word"; tokens].join(" ")
}

// Predictions.

#[test]
fn classifies_a_text() {
    let output = run(&["classify", "I can't believe we won!"]);
    let mut lines = succeeded(&output).lines();
    assert_eq!(lines.next(), Some("I can't believe we won!"));
    assert!(lines.next().unwrap().trim_start().starts_with("happiness "));
}

#[test]
fn table_lists_labels_best_first_with_bars() {
    let output = run(&["classify", "What a shock!"]);
    let table = succeeded(&output);
    assert!(!table.contains('\u{1b}'), "no colors in a pipe: {table:?}");
    let prediction = bundled().classify("What a shock!").unwrap();
    let best_first = prediction.top_k(usize::MAX);
    let rows: Vec<&str> = table.lines().skip(1).collect();
    assert_eq!(rows.len(), best_first.len());
    for (row, (label, score)) in rows.into_iter().zip(best_first) {
        let mut words = row.split_whitespace();
        assert_eq!(words.next(), Some(label));
        assert_eq!(words.next(), Some(format!("{:.1}%", 100.0 * f64::from(score)).as_str()));
        let bar = words.next().map_or(0, |bar| bar.chars().count());
        assert!((bar as f32 - 40.0 * score).abs() <= 1.0, "{row}");
    }
}

#[test]
fn json_matches_the_library() {
    let given = ["I miss you so much.", "", "naïve 😀 \"quoted\" \u{1b}[31m", "What a shock!"];
    let output = run(&[&["classify", "--json"], &given[..]].concat());
    let objects = objects(succeeded(&output));
    let predictions = bundled().classify_batch(&given).unwrap();
    assert_eq!(objects.len(), given.len());
    for ((object, text), expected) in objects.iter().zip(given).zip(predictions) {
        let keys: Vec<&String> = object.as_object().unwrap().keys().collect();
        let cut = ["dropped_tokens", "truncated_at"];
        let whole = ["text", "label", "score", "scores", "logits", "precision"];
        assert_eq!(keys, [&whole[..], &cut].concat());
        assert_eq!(object["text"], text);
        assert_eq!(object["label"], expected.label());
        assert_eq!(object["score"].to_string(), expected.score().to_string());
        assert_eq!(bits(&logits(object)), bits(expected.logits()));
        assert_eq!(object["dropped_tokens"], 0);
        let scores = object["scores"].as_object().unwrap();
        assert!(scores.keys().eq(expected.labels()));
        let scores = scores.values().map(|score| score.to_string().parse().unwrap());
        assert_eq!(bits(&scores.collect::<Vec<f32>>()), bits(expected.scores()));
    }
}

#[test]
fn json_names_the_precision_that_answered() {
    let output = run(&["classify", "--json", "--precision", "cascade:1", "So sad.", "What?!"]);
    let found = objects(succeeded(&output));
    assert_eq!([&found[0]["precision"], &found[1]["precision"]], ["int8", "f32"]);
    let output = run(&["classify", "--json", "What?!"]);
    assert_eq!(objects(succeeded(&output))[0]["logits"], found[1]["logits"]);
    let output = run(&["classify", "--precision", "cascade:-1", "What?!"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("cascade:MARGIN"), "{}", stderr(&output));
}

#[test]
fn top_limits_the_labels() {
    let prediction = bundled().classify("What a shock!").unwrap();
    let best: Vec<&str> = prediction.top_k(3).into_iter().map(|(label, _)| label).collect();

    let output = run(&["classify", "--top", "3", "What a shock!"]);
    let rows = succeeded(&output).lines().skip(1);
    assert!(rows.map(|row| row.split_whitespace().next().unwrap()).eq(best.iter().copied()));

    let output = run(&["classify", "--top", "3", "--json", "What a shock!"]);
    let object = &objects(succeeded(&output))[0];
    assert!(object["scores"].as_object().unwrap().keys().eq(&best));
    assert_eq!(logits(object).len(), prediction.labels().len(), "logits are in label order");
}

#[test]
fn escapes_control_characters() {
    let folder = edited_model(|config| {
        config["id2label"]["0"] = "\u{1b}]0;label\u{7}".into();
        config.as_object_mut().unwrap().remove("label2id");
    });
    let text = "\u{1b}[2Jgone\rover\u{9b}31m\nand \u{202e}on";
    let output = run(&["classify", "--model", path(&folder), text]);
    let table = succeeded(&output);
    assert!(!table.contains(['\u{1b}', '\u{7}', '\r', '\u{9b}', '\u{202e}']), "{table:?}");
    let first = table.lines().next();
    assert_eq!(first, Some(r"\u{1b}[2Jgone\rover\u{9b}31m\nand \u{202e}on"));
    assert!(table.contains(r"\u{1b}]0;label\u{7}"), "{table}");
}

#[test]
fn cuts_wide_text_to_80_columns() {
    let output = run(&["classify", &"日本".repeat(100)]);
    let expected = format!("{}…", "日本".repeat(100).chars().take(39).collect::<String>());
    assert_eq!(succeeded(&output).lines().next(), Some(expected.as_str()));
}

#[test]
fn shows_regressions_and_multi_label_models() {
    let kind = |name: &'static str| edited_model(|config| config["problem_type"] = name.into());

    let regression = kind("regression");
    let output = run(&["classify", "--model", path(&regression), "What a shock!"]);
    let value = |row: &str| row.split_whitespace().nth(1).unwrap().parse::<f32>().unwrap();
    let rows = succeeded(&output).lines().skip(1);
    let shown: Vec<f32> = rows.map(value).collect();
    let mut logits = bundled().classify("What a shock!").unwrap().logits().to_vec();
    logits.sort_by(|a, b| b.total_cmp(a));
    assert_eq!(shown.len(), logits.len());
    assert!(shown.iter().zip(logits).all(|(shown, logit)| (shown - logit).abs() < 1e-4));
    assert!(!stdout(&output).contains(['%', '█']));

    let multi_label = kind("multi_label_classification");
    let output = run(&["classify", "--json", "--model", path(&multi_label), "What a shock!"]);
    let object = &objects(succeeded(&output))[0];
    let (logit, score) = (&object["logits"][0], &object["scores"]["anger"]);
    let sigmoid = 1.0 / (1.0 + (-logit.as_f64().unwrap()).exp());
    assert!((score.as_f64().unwrap() - sigmoid).abs() < 1e-6);
}

// Long texts.

#[test]
fn reports_dropped_tokens() {
    let text = long_text(600);
    let output = run(&["classify", "--top", "1", &text]);
    let last = succeeded(&output).lines().last().unwrap();
    assert_eq!(last.trim(), "the last 90 tokens were dropped: the model takes at most 512");
    let output = run(&["classify", "--json", &text]);
    assert_eq!(objects(succeeded(&output))[0]["dropped_tokens"], 90);
}

#[test]
fn counts_dropped_tokens_of_long_texts_on_request() {
    let text = long_text(9000);
    assert!(text.len() > 16 << 10);
    let output = run(&["classify", "--json", &text]);
    assert!(objects(succeeded(&output))[0]["dropped_tokens"].is_null());
    let output = run(&["classify", "--json", "--count-dropped-tokens", &text]);
    assert_eq!(objects(succeeded(&output))[0]["dropped_tokens"], 9000 + 2 - 512);
}

#[test]
fn windows_cover_a_long_text() {
    let text = long_text(600);
    let output = run(&["classify", "--json", "--truncation", "windows", "--stride", "16", &text]);
    let object = &objects(succeeded(&output))[0];
    let windows = distilbert::Truncation::Windows { stride: 16, max_windows: None };
    let best = InstructionSet::detected().pop().unwrap();
    let classifier = Classifier::builder(&*BUNDLED).instruction_set(best).truncation(windows);
    let classifier = classifier.build().unwrap();
    let expected = classifier.classify(&text).unwrap();
    assert_eq!(bits(&logits(object)), bits(expected.logits()));
    assert_eq!(object["dropped_tokens"], 0);
}

#[test]
fn reports_rejected_texts_and_classifies_the_others() {
    let long = long_text(511);
    let options = ["classify", "--json", "--truncation", "error"];
    let message = "513 tokens, but the model takes at most 512";

    let output = run(&[&options[..], &["one", &long, "three"]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(texts(stdout(&output)), ["one", "three"]);
    assert_eq!(stderr(&output), format!("error: text 2: {message}\n"));

    let lines = ["one", &long, "three", "four", &long].join("\n");
    let output = run_with_input(program(&options), lines.as_bytes());
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(texts(stdout(&output)), ["one", "three", "four"]);
    assert_eq!(stderr(&output), format!("error: line 2: {message}\nerror: line 5: {message}\n"));
}

// Standard input.

#[test]
fn classifies_many_lines_in_order() {
    // Spaces make the input larger than the reader's buffer at no cost.
    let given: Vec<String> = (0..400).map(|row| format!("row {row}{}", " ".repeat(300))).collect();
    let output = classify_lines(&["--json"], given.join("\n").as_bytes());
    let objects = objects(succeeded(&output));
    let expected = bundled().classify_batch(&given).unwrap();
    assert_eq!(objects.len(), given.len());
    for ((object, text), expected) in objects.iter().zip(&given).zip(expected) {
        assert_eq!(object["text"], text.as_str());
        assert_eq!(bits(&logits(object)), bits(expected.logits()), "{text}");
    }
}

#[test]
fn output_does_not_depend_on_threads() {
    let input = (1..40).map(|words| format!("{}\n", long_text(words))).collect::<String>();
    let one = classify_lines(&["--json", "--threads", "1"], input.as_bytes());
    let two = classify_lines(&["--json", "--threads", "2"], input.as_bytes());
    assert_eq!(succeeded(&one), succeeded(&two));
    assert_eq!(stdout(&one).lines().count(), 39);
}

#[test]
fn accepts_both_line_endings_and_empty_lines() {
    let output = classify_lines(&["--json"], b"one\r\n\r\n\ntwo\n last");
    assert_eq!(texts(succeeded(&output)), ["one", "", "", "two", " last"]);
    let output = classify_lines(&["--top", "1"], b"\n");
    assert_eq!(succeeded(&output).lines().next(), Some("(empty text)"));
}

#[test]
fn empty_input_gives_no_output() {
    for options in [&["--json"][..], &[]] {
        assert_eq!(succeeded(&classify_lines(options, b"")), "");
    }
}

#[test]
fn reports_invalid_utf8_and_classifies_the_others() {
    let output = classify_lines(&["--json"], b"one\ntw\xffo\nthree\n\xc3\nfive");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(texts(stdout(&output)), ["one", "three", "five"]);
    assert_eq!(
        stderr(&output),
        "error: line 2: not valid UTF-8 at byte 3\n\
         error: line 4: not valid UTF-8 at byte 1\n"
    );
}

#[test]
fn answers_each_line_at_once_and_exits_when_output_closes() {
    let mut child = spawn(program(&["classify", "--json"]));
    let mut stdin = child.stdin.take().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap());
    let mut errors = child.stderr.take().unwrap();
    let (done, waiting) = mpsc::channel();
    let conversation = std::thread::spawn(move || {
        for text in ["one", "two"] {
            writeln!(stdin, "{text}").unwrap();
            let mut answer = String::new();
            answers.read_line(&mut answer).unwrap();
            assert_eq!(texts(&answer), [text]);
        }
        drop(answers);
        writeln!(stdin, "three").unwrap();
        // The input stays open: the program exits because its output is closed.
        let status = child.wait().unwrap();
        drop(stdin);
        let mut message = String::new();
        errors.read_to_string(&mut message).unwrap();
        assert_eq!((status.code(), message.as_str()), (Some(0), ""));
        done.send(()).unwrap();
    });
    let answered = waiting.recv_timeout(Duration::from_secs(60));
    assert_ne!(
        answered,
        Err(mpsc::RecvTimeoutError::Timeout),
        "the program does not answer at once"
    );
    conversation.join().unwrap();
}

// Errors.

#[test]
fn missing_model_folder_is_a_one_line_error() {
    for command in ["classify", "info"] {
        let output = run(&[command, "--model", "no/such/folder"]);
        let message = failed_with_one_line(&output, 2);
        assert!(message.contains("no/such/folder"), "{message}");
    }
}

#[test]
fn damaged_model_is_a_one_line_error() {
    let folder = edited_model(|_| {});
    let classify = || run(&["classify", "--model", path(&folder), "hello"]);
    let replace = |file: &str, content: &[u8]| {
        let file = folder.path().join(file);
        // Remove the link first, so as not to write to the bundled model.
        std::fs::remove_file(&file).unwrap();
        std::fs::write(&file, content).unwrap();
    };
    let weights = std::fs::File::open(Path::new(&*BUNDLED).join("model.safetensors")).unwrap();
    let mut start = Vec::new();
    weights.take(100_000).read_to_end(&mut start).unwrap();

    replace("tokenizer.json", b"{\n\n]");
    assert!(failed_with_one_line(&classify(), 2).contains("tokenizer.json"));
    replace("model.safetensors", &start);
    assert!(failed_with_one_line(&classify(), 2).contains("model.safetensors"));
    replace("config.json", b"{\"dim\":\n 384");
    assert!(failed_with_one_line(&classify(), 2).contains("config.json"));
    std::fs::remove_file(folder.path().join("config.json")).unwrap();
    assert!(failed_with_one_line(&classify(), 2).contains("config.json"));
}

#[test]
fn rejects_too_large_stride_once() {
    let options = ["--truncation", "windows", "--stride", "510"];
    let output = classify_lines(&options, b"one\ntwo\nthree\n");
    let message = failed_with_one_line(&output, 2);
    assert!(message.contains("stride") && message.contains("510"), "{message}");
}

#[test]
fn usage_errors_exit_with_2() {
    for arguments in [
        &[][..],
        &["clasify", "hello"],
        &["classify", "--colour", "hello"],
        &["classify", "--threads", "0", "hello"],
        &["classify", "--top", "0", "hello"],
        &["classify", "--truncation", "middle", "hello"],
        &["classify", "--stride", "8", "hello"],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(stdout(&output), "", "{arguments:?}");
        assert!(stderr(&output).contains("Usage:") || stderr(&output).contains("--help"));
    }
}

#[test]
fn help_ends_with_an_example() {
    for arguments in
        [&["--help"][..], &["classify", "--help"], &["explain", "--help"], &["info", "--help"]]
    {
        let output = run(arguments);
        let end = succeeded(&output).rsplit("\n\n").next().unwrap();
        assert!(end.starts_with("Example") && end.contains("\n  distilbert "), "{end}");
    }
}
