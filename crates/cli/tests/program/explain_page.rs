//! HTML page and SVG charts of an explanation, parsed and compared with the JSON output.

mod maps;

use std::collections::BTreeMap;
use std::path::Path;

use self::maps::check_maps;
use crate::support::{bundled, objects, program, run, run_with_input, succeeded};
use distilbert::explain::ExplainOptions;
use distilbert_report::explanation::Page;
use roxmltree::{Document, Node};
use serde_json::Value;
use test_support::list;
use test_support::reading::{all, check_harmless, content, length, one, parse};

const HOSTILE: &str = "<script>alert(\"1\")</script> & 'quotes' שלום 🎉 a\u{1b}b \u{202e}turned ]]> \
                       --> <img src=x onerror=alert(1)> &amp; url(http://a.b) why";

/// Output for one text.
struct Made {
    /// Printed object.
    json: Value,
    html: String,
    /// SVG files by name.
    pictures: BTreeMap<String, String>,
}

impl Made {
    fn of(text: &str, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (html, svg) = (folder.path().join("why.html"), folder.path().join("a/b"));
        let paths = ["--html", html.to_str().unwrap(), "--svg", svg.to_str().unwrap()];
        let output = run(&[&["explain", "--json"], &paths[..], options, &[text]].concat());
        let json = objects(succeeded(&output)).pop().unwrap();
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        let picture = |file: std::io::Result<std::fs::DirEntry>| {
            let file = file.unwrap();
            (file.file_name().into_string().unwrap(), read(&file.path()))
        };
        let pictures = std::fs::read_dir(&svg).unwrap().map(picture).collect();
        Self { json, html: read(&html), pictures }
    }

    fn words(&self) -> Vec<Part> {
        list(&self.json["words"]).iter().map(Part::new).collect()
    }

    /// Returns the special tokens: the first and the last.
    fn special(&self) -> [Part; 2] {
        let tokens = list(&self.json["tokens"]);
        [&tokens[0], tokens.last().unwrap()].map(Part::new)
    }

    /// Returns the rows with bars, in text order: the special tokens and the most relevant words.
    fn rows(&self) -> Vec<Part> {
        let words = self.words();
        let mut strongest: Vec<usize> = (0..words.len()).collect();
        strongest.sort_by(|&a, &b| words[b].relevance.abs().total_cmp(&words[a].relevance.abs()));
        strongest.truncate(25);
        strongest.sort_unstable();
        let [first, last] = self.special();
        let words = strongest.into_iter().map(|word| words[word].clone());
        [first].into_iter().chain(words).chain([last]).collect()
    }
}

/// Word or token.
#[derive(Clone)]
struct Part {
    text: String,
    relevance: f64,
}

impl Part {
    fn new(json: &Value) -> Self {
        let text = json["text"].as_str().unwrap().to_owned();
        Self { text, relevance: json["relevance"].as_f64().unwrap() }
    }
}

fn total(parts: &[Part]) -> f64 {
    parts.iter().map(|part| part.relevance).sum()
}

fn from_high_to_low(mut rows: Vec<Part>) -> Vec<Part> {
    rows.sort_by(|a, b| b.relevance.total_cmp(&a.relevance));
    rows
}

/// Returns a text of 400 words, with characters that HTML must escape.
fn long_text() -> String {
    let words = "not really the best day but I am quite happy , nobody cried & \"all\" is well <b>";
    let words = words.split(' ').cycle().take(400);
    words.collect::<Vec<_>>().join(" ")
}

/// Replaces control characters as the page does.
fn shown(text: &str) -> String {
    text.replace('\u{1b}', "␛")
}

/// Checks a number of the page to its last digit.
#[track_caller]
fn check_number(shown: &str, expected: f64) {
    let shown = shown.replace('\u{2212}', "-");
    let decimals = shown.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    assert!(decimals >= 3, "{shown}");
    let off = (shown.parse::<f64>().unwrap() - expected).abs();
    assert!(off <= 0.501 * 0.1f64.powi(decimals as i32), "{shown} for {expected}");
}

/// Checks that a chart has one bar per row, in order, with name, value, and proportional length and side.
fn check_bars(picture: Node<'_, '_>, rows: &[Part]) {
    let children = |class| all(picture, class);
    let (bars, names, values) = (children("bar"), children("name"), children("value"));
    assert_eq!((bars.len(), names.len(), values.len()), (rows.len(), rows.len(), rows.len()));
    let zero = length(one(picture, "axis"), "x1");
    let longest = rows.iter().map(|row| row.relevance.abs()).fold(0.0, f64::max);
    let full = bars.iter().map(|bar| length(*bar, "width")).fold(0.0, f64::max);
    for (((bar, name), value), Part { text, relevance }) in
        bars.iter().zip(names).zip(values).zip(rows)
    {
        let (text, printed) = (shown(text), content(value));
        check_number(&printed, *relevance);
        assert_eq!(content(*bar), format!("{printed} {text}"));
        let shown_name = content(name);
        match shown_name.strip_suffix('…') {
            Some(start) => assert!(text.starts_with(start) && text != start),
            None => assert_eq!(shown_name, text),
        }
        let (x, width) = (length(*bar, "x"), length(*bar, "width"));
        assert!((width - full * relevance.abs() / longest).abs() <= 0.5, "{text}");
        let edge = if *relevance < 0.0 { x + width } else { x };
        assert!((edge - zero).abs() <= 0.11 || width <= 0.5, "{text} starts at zero");
        let class = if *relevance < 0.0 { "against" } else { "for" };
        assert!(bar.attribute("class").unwrap().split(' ').any(|one| one == class));
        assert_eq!(length(name, "y"), length(value, "y"));
    }
}

/// Checks that the page shows the whole text, each word shaded by its relevance.
fn check_text(document: &Document<'_>, made: &Made) {
    let text = one(document.root(), "text");
    let given = made.json["text"].as_str().unwrap();
    if given.trim().is_empty() {
        assert_eq!(content(text), format!("(empty text){given}"));
        return;
    }
    assert_eq!(content(text), shown(given));
    let words = made.words();
    let spans: Vec<_> = text.children().filter(Node::is_element).collect();
    assert_eq!(spans.len(), words.len());
    let largest = words.iter().map(|word| word.relevance.abs()).fold(0.0, f64::max);
    for (span, Part { text, relevance }) in spans.into_iter().zip(words) {
        assert_eq!(content(span), shown(&text));
        let strength = span.attribute("style").unwrap().strip_prefix("--strength:").unwrap();
        check_number(strength, relevance.abs() / largest);
        check_number(span.attribute("title").unwrap(), relevance);
        assert_eq!(span.attribute("class"), Some(if relevance < 0.0 { "against" } else { "for" }));
    }
}

/// Checks that each line goes through the score after every step.
fn check_lines(picture: Node<'_, '_>, curves: &Value) {
    let named = |name: &str, class: &str| {
        let mut found = all(picture, class);
        found.retain(|node| node.tag_name().name() == name);
        found
    };
    let grid = named("line", "grid");
    let (top, bottom) = (length(grid[3], "y1"), length(grid[0], "y1"));
    let (left, right) = (length(grid[0], "x1"), length(grid[0], "x2"));
    let half = named("line", "half")[0];
    assert!((2.0 * length(half, "y1") - top - bottom).abs() < 1e-9);
    for (class, key) in
        [("most", "most_relevant_first"), ("least", "least_relevant_first"), ("random", "random")]
    {
        let line = named("polyline", class)[0].attribute("points").unwrap();
        let expected = list(&curves[key]["points"]);
        assert_eq!(line.split(' ').count(), expected.len());
        for (point, expected) in line.split(' ').zip(expected) {
            let (x, y) = point.split_once(',').unwrap();
            let [fraction, score] =
                ["fraction", "score"].map(|key| expected[key].as_f64().unwrap());
            let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
            assert!((x - left - (right - left) * fraction).abs() <= 0.051, "{class}: {point}");
            assert!((y - bottom - (top - bottom) * score).abs() <= 0.051, "{class}: {point}");
        }
    }
    let losses = list(&curves["most_relevant_first"]["points"]).windows(2);
    let losses = losses.filter(|ends| {
        let [before, after] = [0, 1].map(|at: usize| ends[at]["score"].as_f64().unwrap());
        before - after >= 0.1
    });
    assert_eq!(all(picture, "costly").len(), losses.count());
}

/// Checks the line of the ledger: a name and a number, equal to a sum of names and numbers.
fn check_ledger(document: &Document<'_>, made: &Made) {
    let line = content(one(document.root(), "ledger"));
    let (entries, unexplained) = line.split_once(" (unexplained ").unwrap();
    let unexplained: f64 = unexplained.strip_suffix(')').unwrap().parse().unwrap();
    let expected = made.json["unexplained"].as_f64().unwrap();
    assert!((unexplained - expected).abs() <= 0.5001 * 10f64.powf(expected.abs().log10().floor()));
    let shares = made.json["ledger"].as_object().unwrap().iter();
    let shares = shares.map(|(name, share)| (name.replace('_', " "), share.as_f64().unwrap()));
    let value = made.json["value"].as_f64().unwrap();
    let mut expected = vec![
        ("logit".to_owned(), value),
        ("words".to_owned(), total(&made.words())),
        ("[CLS] and [SEP]".to_owned(), total(&made.special())),
    ];
    expected.extend(shares.filter(|share| share.1 != 0.0));
    let found: Vec<&str> = entries.split(" = ").flat_map(|side| side.split(" + ")).collect();
    assert_eq!(found.len(), expected.len(), "{line}");
    for (found, (name, value)) in found.into_iter().zip(expected) {
        let (found_name, found_value) = found.rsplit_once(' ').unwrap();
        assert_eq!(found_name, name);
        check_number(found_value, value);
    }
}

fn check(text: &str, options: &[&str]) {
    let made = Made::of(text, options);
    assert_eq!(made.json["text"], text);
    let document = parse(&made.html);
    check_text(&document, &made);
    check_ledger(&document, &made);
    let rows = made.rows();
    for (class, file, rows) in [
        ("by-text", "words-in-text-order.svg", &rows),
        ("by-relevance", "words-by-relevance.svg", &from_high_to_low(rows.clone())),
    ] {
        check_bars(one(document.root(), class), rows);
        check_bars(parse(&made.pictures[file]).root(), rows);
    }
    check_harmless(&made.html);
    made.pictures.values().for_each(|picture| check_harmless(picture));

    let is_drawn = !made.words().is_empty();
    assert_eq!(made.pictures.len(), if is_drawn { 9 } else { 8 });
    if is_drawn {
        check_lines(one(document.root(), "lines"), &made.json["curves"]);
        check_lines(parse(&made.pictures["confidence.svg"]).root(), &made.json["curves"]);
    }
    let explanation = bundled().explain(text, &ExplainOptions::default().attention(true)).unwrap();
    if options.is_empty() {
        check_maps(one(document.root(), "map"), &made, explanation.attention().unwrap());
    }

    let said = |name: &str| {
        let found = document.descendants().filter(|node| node.tag_name().name() == name);
        found.map(content).collect::<Vec<_>>()
    };
    let against = made.json["against"].as_str();
    let target = made.json["target"].as_str().unwrap();
    let title = against.map_or(target.to_owned(), |other| format!("{target} rather than {other}"));
    assert_eq!(said("h1"), [title]);
    assert_eq!(said("dd")[0], made.json["method"].as_str().unwrap());
    let lead = content(one(document.root(), "lead"));
    let (probability, logit) = lead.split_once(", logit ").unwrap();
    check_number(
        probability.strip_prefix("probability ").unwrap(),
        made.json["score"].as_f64().unwrap(),
    );
    check_number(logit.split(';').next().unwrap(), made.json["logit"].as_f64().unwrap());
}

#[test]
fn page_of_a_few_words_matches_json() {
    check("So thrilled today", &[]);
}

#[test]
fn page_of_one_word_matches_json() {
    check("good", &[]);
}

#[test]
fn page_of_an_empty_text_matches_json() {
    check("", &[]);
    check(" \n\t ", &[]);
}

#[test]
fn page_of_a_hostile_text_matches_json_and_is_harmless() {
    check(HOSTILE, &[]);
}

#[test]
fn page_of_400_words_matches_json_and_sums_the_rest() {
    let text = long_text();
    check(&text, &[]);
    let made = Made::of(&text, &[]);
    let words = made.words();
    assert!(words.len() >= 400);
    let document = parse(&made.html);
    let caption = content(one(document.root(), "bars"));
    let start = format!(
        "The 25 strongest of {0} words; the other {1} sum to ",
        words.len(),
        words.len() - 25
    );
    let sum = caption.split(start.as_str()).nth(1).unwrap().split(". ").next().unwrap();
    let rows = made.rows();
    check_number(sum, total(&words) - total(&rows[1..rows.len() - 1]));
    let maps = content(one(document.root(), "maps"));
    let tokens = list(&made.json["tokens"]).len();
    assert!(maps.contains(&format!("The 28 most relevant of {tokens} tokens")), "{maps}");
}

#[test]
fn page_of_another_method_and_target_matches_json() {
    let options =
        ["--method", "gradient-x-input", "--target", "sadness", "--replacement", "delete"];
    check("I miss him so much, and yet I am happy.", &options);
}

/// Characters within words and alone, however the tokenizer treats them.
#[test]
fn any_characters_have_a_page_and_a_table() {
    let is_special =
        |c: &char| c.is_control() || c.is_whitespace() || (*c as u32).is_multiple_of(61);
    let characters = ('\u{1}'..'\u{3000}').filter(is_special).filter(|c| !matches!(c, '\r' | '\n'));
    let characters: Vec<char> = characters.collect();
    let text = |part: &[char]| part.iter().map(|c| format!("a{c}b {c} ")).collect::<String>();
    let texts: Vec<String> = characters.chunks(60).map(text).collect();
    for explanation in bundled().explain_batch(&texts, &ExplainOptions::default()).unwrap() {
        let page = Page::new(&explanation).html();
        let document = parse(&page);
        let text = one(document.root(), "text");
        assert_eq!(text.children().filter(Node::is_element).count(), explanation.words().len());
        let count = explanation.text().chars().count();
        assert_eq!(content(text).chars().count(), count, "{:?}", explanation.text());
    }
    let output = run_with_input(program(&["explain"]), texts.join("\n").as_bytes());
    let tables = succeeded(&output).lines().filter(|line| line.starts_with("  relevance for "));
    assert_eq!(tables.count(), texts.len());
}

#[test]
fn page_reports_dropped_tokens() {
    let made = Made::of(&vec!["word"; 600].join(" "), &[]);
    let document = parse(&made.html);
    assert_eq!(content(one(document.root(), "text")).split(' ').count(), 600);
    let said = content(document.root());
    assert!(said.contains("Not read: the last 90 tokens. The model takes 512."), "{said}");
}
