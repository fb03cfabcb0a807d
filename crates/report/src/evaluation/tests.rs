//! Pages of generated rows, parsed as XML. The program's tests cover pages of real models.

use roxmltree::Node;

use super::Page;
use distilbert::ProblemType;
use distilbert::random::SplitMix64;
use distilbert_evaluate::{Confusion, Evaluation, EvaluationOptions, Report, Row};
use test_support::reading::{all, check_harmless, content, length, one, parse};

const SINGLE: ProblemType = ProblemType::SingleLabelClassification;
const MULTI: ProblemType = ProblemType::MultiLabelClassification;

const HOSTILE: &str = "<script>alert(\"1\")</script> & 'quotes' שלום 🎉 ]]> --> <img src=x onerror=alert(1)> \
                       url(http://a.b) \u{202e}turned";

fn names(count: usize) -> Vec<String> {
    (0..count).map(|id| format!("label {id}")).collect()
}

/// Returns a report in which most rows are correct. With several labels, the first is never true and the last is never
/// predicted.
fn report(labels: &[String], kind: ProblemType, rows: usize) -> Report {
    let mut evaluation =
        Evaluation::new(labels, kind, &EvaluationOptions::default().resamples(20).top_k(9))
            .unwrap();
    let mut random = SplitMix64::new(7);
    let last = labels.len() - 1;
    for number in 0..rows {
        let predicted = random.below(labels.len().max(2) - 1);
        let truth = if random.below(3) > 0 { predicted } else { random.below(labels.len()) };
        let truth = truth.max(1.min(last));
        let mut scores = vec![0.3 / labels.len() as f32; labels.len()];
        scores[predicted] = 0.5 + random.below(50) as f32 / 100.0;
        let (also, text) = (1.min(last), format!("text {number}"));
        let truth = if kind == MULTI { vec![truth, also] } else { vec![truth] };
        let row = Row::new(&truth, &scores).number(number).tokens(random.below(99)).text(&text);
        evaluation.push(&row).unwrap();
    }
    evaluation.report().unwrap()
}

/// Returns the rows of the matrix as drawn: the count and the shade of each cell.
fn cells(picture: Node<'_, '_>) -> Vec<Vec<(usize, u32)>> {
    let group = one(picture, "cells");
    let rows = all(group, "row");
    let width = length(rows[0], "width") as usize;
    let mut cells = vec![vec![(0, 0); width]; rows.len()];
    for path in group.children().filter(|node| node.tag_name().name() == "path") {
        let shade = path.attribute("class").unwrap()[1..].parse().unwrap();
        let place = path.attribute("d").unwrap();
        let (x, y) = place.strip_prefix('M').unwrap().split_once(' ').unwrap();
        let y = y.strip_suffix(".5h1").unwrap();
        let (x, y): (usize, usize) = (x.parse().unwrap(), y.parse().unwrap());
        let title = content(path);
        let (_, counts) = title.rsplit_once(": ").unwrap();
        let (count, total) = counts.split_once(" of ").unwrap();
        let (count, total): (usize, usize) = (count.parse().unwrap(), total.parse().unwrap());
        let expected = (12.0 * (count as f32 / total as f32).sqrt()).round() as u32;
        assert_eq!(shade, expected.max(1), "{title}");
        cells[y][x] = (count, shade);
    }
    cells
}

/// Checks that counts are in the middle of their cells, and that everything is within the picture.
fn check_places(picture: Node<'_, '_>, counts: &[Vec<usize>]) {
    let transform = one(picture, "cells").attribute("transform").unwrap();
    let numbers = transform.replace("translate(", "").replace(") scale(", " ").replace(')', "");
    let numbers: Vec<f64> = numbers.split(' ').map(|number| number.parse().unwrap()).collect();
    let [left, top, cell] = numbers[..] else { panic!("{transform}") };
    let mut written = all(picture, "count").into_iter();
    for (y, row) in counts.iter().enumerate() {
        for (x, count) in row.iter().enumerate().filter(|(_, count)| **count > 0) {
            let node = written.next().unwrap();
            assert_eq!(content(node), count.to_string());
            assert!((length(node, "x") - left - cell * (x as f64 + 0.5)).abs() < 0.6);
            assert!((length(node, "y") - top - cell * (y as f64 + 0.5)).abs() < 5.0);
        }
    }
    assert!(written.next().is_none());
    let right = left + cell * counts[0].len() as f64;
    let bottom = top + cell * counts.len() as f64;
    assert!(right <= length(picture, "width") && bottom + 20.0 <= length(picture, "height"));
}

#[test]
fn matrix_shows_every_count_in_its_cell() {
    for labels in [1, 2, 7, 12, 13, 28, 40] {
        let report = report(&names(labels), SINGLE, 900);
        let Confusion::Labels(matrix) = report.confusion() else {
            panic!("not a single-label model")
        };
        let page = Page::new(&report).html();
        let document = parse(&page);
        let picture = one(document.root(), "matrix");
        let counts = |row: Vec<(usize, u32)>| row.into_iter().map(|cell| cell.0).collect();
        let found: Vec<Vec<usize>> = cells(picture).into_iter().map(counts).collect();
        assert_eq!(found, *matrix);
        check_places(picture, matrix);
        let shown = all(picture, "name").into_iter().map(content).collect::<Vec<_>>();
        assert_eq!(shown, [names(labels), names(labels)].concat());
        let wide = one(document.root(), "confusion").children().any(|node| {
            node.attribute("class") == Some("wide") && node.attribute("tabindex") == Some("0")
        });
        assert_eq!(wide, labels > 12);
    }
}

#[test]
fn matrix_of_many_labels_shows_the_most_frequent() {
    let report = report(&names(60), SINGLE, 900);
    let Confusion::Labels(matrix) = report.confusion() else { panic!("not a single-label model") };
    let page = Page::new(&report).html();
    let document = parse(&page);
    let shown = all(one(document.root(), "matrix"), "name").into_iter().map(content);
    let shown: Vec<String> = shown.take(40).collect();
    let id = |name: &String| name["label ".len()..].parse::<usize>().unwrap();
    let shown: Vec<usize> = shown.iter().map(id).collect();
    assert!(shown.is_sorted());
    let size = |id: usize| report.classes()[id].support + report.classes()[id].predicted;
    let least = shown.iter().map(|&id| size(id)).min().unwrap();
    assert!((0..60).filter(|id| !shown.contains(id)).all(|id| size(id) <= least));
    for (row, &truth) in cells(one(document.root(), "matrix")).iter().zip(&shown) {
        for (cell, &predicted) in row.iter().zip(&shown) {
            assert_eq!(cell.0, matrix[truth][predicted]);
        }
    }
    let said = content(one(document.root(), "confusion"));
    assert!(said.contains("; 20 others not shown."), "{said}");
}

#[test]
fn multi_label_matrix_shows_four_counts_per_label() {
    for labels in [1, 9, 30] {
        let report = report(&names(labels), MULTI, 300);
        let Confusion::EachLabel(matrices) = report.confusion() else {
            panic!("not a multi-label model")
        };
        let page = Page::new(&report).html();
        let document = parse(&page);
        let picture = one(document.root(), "matrix");
        let expected = matrices
            .iter()
            .map(|[[neither, said], [missed, found]]| vec![*found, *missed, *said, *neither]);
        let expected: Vec<Vec<usize>> = expected.collect();
        let counts = |row: Vec<(usize, u32)>| row.into_iter().map(|cell| cell.0).collect();
        let found: Vec<Vec<usize>> = cells(picture).into_iter().map(counts).collect();
        assert_eq!(found, expected);
        check_places(picture, &expected);
        let names = all(picture, "name").into_iter().map(content).skip(labels);
        assert!(names.eq(["true positive", "false negative", "false positive", "true negative"]));
    }
}

#[test]
fn reliability_diagram_shows_every_bin() {
    let report = report(&names(5), SINGLE, 900);
    let page = Page::new(&report).html();
    let document = parse(&page);
    let picture = one(document.root(), "reliability");
    let bars = |class: &str| {
        let bars = all(picture, class).into_iter().filter(|bar| bar.tag_name().name() == "rect");
        bars.collect::<Vec<_>>()
    };
    let bins = report.calibration().bins();
    let filled: Vec<_> = bins.iter().filter(|bin| bin.count > 0).collect();
    assert!(filled.len() > 5 && filled.len() < 15);
    let gaps: Vec<Node<'_, '_>> = picture
        .descendants()
        .filter(|bar| matches!(bar.attribute("class"), Some("over" | "under")))
        .collect();
    let numbers: Vec<String> = all(picture, "number").into_iter().map(content).collect();
    let most = bins.iter().map(|bin| bin.count).max().unwrap() as f64;
    let (agreed, rows) = (bars("agreed"), bars("rows"));
    assert_eq!([agreed.len(), gaps.len(), rows.len()], [filled.len(); 3]);
    for (index, bin) in filled.iter().enumerate() {
        let (confidence, accuracy) = (bin.confidence.unwrap(), bin.accuracy.unwrap());
        // The full height is 200 units; lengths are rounded to a tenth.
        let close = |found: f64, share: f64| (found - 200.0 * share).abs() < 0.11;
        assert!(close(length(agreed[index], "height"), confidence.min(accuracy)));
        assert!(close(length(gaps[index], "height"), (confidence - accuracy).abs()));
        let class = if confidence > accuracy { "over" } else { "under" };
        assert_eq!(gaps[index].attribute("class"), Some(class));
        let end = length(gaps[index], "y");
        assert!((210.0 - end - 200.0 * confidence.max(accuracy)).abs() < 0.11);
        let height = length(rows[index], "height");
        assert!((height - 52.0 * bin.count as f64 / most).abs() < 0.51);
        assert_eq!(numbers[index], bin.count.to_string());
        for bar in [agreed[index], gaps[index], rows[index]] {
            assert!((length(bar, "x") - 34.0 - 358.0 * bin.low - 0.5).abs() < 0.11);
        }
    }
}

#[test]
fn tables_match_the_report() {
    let report = report(&names(4), SINGLE, 400);
    let page = Page::new(&report).digits(5).setting("model", "a model");
    let page = page.html();
    let document = parse(&page);
    let rows = |node: Node<'_, '_>| {
        let rows = node.descendants().filter(|node| node.tag_name().name() == "tr").skip(1);
        rows.map(|row| row.children().map(|cell| content(cell)).collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>()
    };
    let expected = format!("{report:.5}");
    let expected = expected.lines().skip(1).filter(|line| !line.is_empty());
    let words = |line: &str| {
        let line = line.replace(" avg", " average");
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let found = rows(one(document.root(), "classes"));
    assert_eq!(
        found.iter().map(|row| words(row)).collect::<Vec<_>>(),
        expected.map(words).collect::<Vec<_>>()
    );

    let pairs = report.confused_pairs().iter().map(|pair| {
        let support = report.classes()[pair.truth].support;
        let share = 100.0 * pair.rows as f64 / support as f64;
        format!("label {} label {} {} {share:.1}%", pair.truth, pair.predicted, pair.rows)
    });
    assert_eq!(rows(one(document.root(), "pairs")), pairs.collect::<Vec<_>>());
    let lengths = report.lengths();
    assert_eq!(rows(one(document.root(), "lengths")).len(), lengths.len());
    let said = content(document.root());
    for figure in [
        format!("top-2 accuracy {:.5}", report.top_k_accuracy(2).unwrap()),
        format!("top-4 accuracy {:.5}", report.top_k_accuracy(4).unwrap()),
        format!("log loss {:.5}", report.log_loss()),
        format!("expected calibration error {:.5}", report.calibration().expected_error()),
        format!("{:.5} to {:.5}", report.macro_f1().low, report.macro_f1().high),
        "recall counts as 0: label 0.".to_owned(),
        "precision counts as 0: label 3.".to_owned(),
    ] {
        assert!(said.contains(&figure), "{figure}");
    }
    assert!(!said.contains("top-5"));
    let mistakes = all(document.root(), "what").into_iter().map(content);
    let texts = all(document.root(), "said").into_iter().map(content);
    let found: Vec<_> = mistakes.zip(texts).collect();
    assert_eq!(found.len(), 20);
    for (mistake, (what, text)) in report.mistakes().iter().zip(found) {
        let (truth, predicted) = (mistake.truth[0], mistake.predicted[0]);
        let (confidence, row) = (mistake.confidence, mistake.row);
        assert_eq!(
            what,
            format!("label {truth} predicted as label {predicted} {confidence:.3}, row {row}")
        );
        assert_eq!(text, format!("text {row}"));
    }
}

#[test]
fn hostile_texts_are_escaped() {
    for kind in [SINGLE, MULTI] {
        let labels = [HOSTILE.to_owned(), "x".repeat(3000), "joy & <b>".to_owned()];
        let mut evaluation = Evaluation::new(&labels, kind, &EvaluationOptions::default()).unwrap();
        let long = format!("{HOSTILE}{}", "é".repeat(5000));
        evaluation.push(&Row::new(&[0], &[0.1, 0.9, 0.0]).text(HOSTILE).tokens(9)).unwrap();
        evaluation.push(&Row::new(&[2], &[0.8, 0.1, 0.1]).text(&long)).unwrap();
        evaluation.push(&Row::new(&[2], &[0.4, 0.4, 0.4])).unwrap();
        let report = evaluation.report().unwrap();
        let page = Page::new(&report).setting(HOSTILE, HOSTILE).html();
        check_harmless(&page);
        let document = parse(&page);
        for node in document.descendants().filter(Node::is_element) {
            const KNOWN: &str = "html head meta title style body main h1 h2 p span b div figure figcaption \
                                 section table thead tbody tr th td ol li dl dt dd svg g path rect line \
                                 polyline text";
            let name = node.tag_name().name();
            assert!(KNOWN.split_whitespace().any(|known| known == name), "{name}");
        }
        let texts: Vec<String> = all(document.root(), "said").into_iter().map(content).collect();
        assert_eq!(texts[0], HOSTILE);
        assert!(texts[1].starts_with(HOSTILE) && texts[1].chars().count() == 601);
        let style = document.descendants().find(|node| node.tag_name().name() == "style");
        assert!(!content(style.unwrap()).contains("//"));
        for picture in document.descendants().filter(|node| node.tag_name().name() == "svg") {
            assert_eq!(picture.attribute("role"), Some("img"));
            assert!(!picture.attribute("aria-label").unwrap().is_empty());
        }
    }
}

#[test]
fn perfect_model_has_a_page() {
    let labels = names(2);
    let mut evaluation = Evaluation::new(&labels, SINGLE, &EvaluationOptions::default()).unwrap();
    evaluation.push(&Row::new(&[1], &[0.0, 1.0])).unwrap();
    let report = evaluation.report().unwrap();
    let page = Page::new(&report).html();
    let document = parse(&page);
    assert!(content(one(document.root(), "pairs")).contains("No labels are confused."));
    assert!(
        all(document.root(), "mistakes").is_empty() && all(document.root(), "lengths").is_empty()
    );
    for node in document.descendants() {
        for name in ["x", "y", "width", "height", "points", "d", "transform"] {
            let place = node.attribute(name).unwrap_or_default();
            assert!(!place.contains("NaN") && !place.contains("inf"), "{node:?}");
        }
    }
}
