//! Pages of generated explanations, parsed as XML. The program's tests cover pages of real models.

use super::Page;
use roxmltree::Node;

use distilbert::ProblemType;
use distilbert::explain::sample::{
    HEADS, HOSTILE, LAYERS, Sample, TARGET, curve, prediction, with_replacement,
};
use distilbert::explain::{Method, Objective, Order, Point, Replacement, Target};
use distilbert::{Cut, Prediction, TruncationSide};
use test_support::reading::{all, content, length, one, parse};

fn page_of(sample: &Sample) -> Page<'_> {
    Page::new(&sample.explanation)
        .curve(&sample.most)
        .curve(&sample.least)
        .setting("model", "models/emotion")
}

fn html(sample: &Sample) -> String {
    page_of(sample).html()
}

/// Parses a number as the page prints it.
fn value(shown: &str) -> f64 {
    shown.replace('\u{2212}', "-").parse().unwrap()
}

/// Returns the elements with this class and name.
fn named<'a>(node: Node<'a, 'a>, name: &str, class: &str) -> Vec<Node<'a, 'a>> {
    all(node, class).into_iter().filter(|node| node.tag_name().name() == name).collect()
}

/// Checks that a curve has a point for each step, at the height of its probability.
fn check_line(picture: Node<'_, '_>, class: &str, expected: &[Point]) {
    let grid = named(picture, "line", "grid");
    let (top, bottom) = (length(grid[3], "y1"), length(grid[0], "y1"));
    let (left, right) = (length(grid[0], "x1"), length(grid[0], "x2"));
    let line = named(picture, "polyline", class)[0].attribute("points").unwrap();
    let points: Vec<_> = line.split(' ').map(|point| point.split_once(',').unwrap()).collect();
    assert_eq!(points.len(), expected.len());
    let end = expected.last().unwrap().replaced.max(1) as f64;
    for ((x, y), &Point { replaced: gone, score, .. }) in points.into_iter().zip(expected) {
        let expected = left + (right - left) * gone as f64 / end;
        assert!((value(x) - expected).abs() <= 0.051, "{class} {gone}: {x} {expected}");
        let expected = bottom + (top - bottom) * f64::from(score);
        assert!((value(y) - expected).abs() <= 0.051, "{class} {gone}: {y} {expected}");
    }
}

#[test]
fn points_name_the_last_removed_word() {
    let sample = Sample::of(3);
    let page = html(&sample);
    let document = parse(&page);
    let dots = all(one(document.root(), "lines"), "dot").into_iter().map(content);
    let titles: Vec<String> = dots.collect();
    let (least, most) = titles.split_at(4);
    assert_eq!(most[0], "1.000 after 0 words, most relevant first");
    assert_eq!(most[1], "0.296 after 1 word, most relevant first, last: w2");
    assert_eq!(least[2], "0.333 after 2 words, least relevant first, last: w1");
}

#[test]
fn large_losses_are_highlighted() {
    let mut sample = Sample::of(3);
    sample.most = curve(Order::MostRelevantFirst, vec![0, 1, 2], &[0.95, 0.9, 0.4, 0.2]);
    let page = html(&sample);
    let document = parse(&page);
    let picture = one(document.root(), "lines");
    let left: Vec<f64> = all(picture, "costly").iter().map(|step| length(*step, "x")).collect();
    let losses: Vec<String> = all(picture, "loss").into_iter().map(content).collect();
    let third = (392.0 - 34.0) / 3.0;
    assert_eq!(left.len(), 2);
    assert!((left[0] - (34.0 + third)).abs() < 0.1 && (left[1] - (34.0 + 2.0 * third)).abs() < 0.1);
    assert_eq!(losses, ["−0.50", "−0.20"]);
    assert!(content(one(document.root(), "confidence")).contains("Shaded: "));

    sample.most = curve(Order::MostRelevantFirst, vec![0, 1, 2], &[0.95, 0.9, 0.85, 0.8]);
    let page = html(&sample);
    let document = parse(&page);
    assert!(all(document.root(), "costly").is_empty());
    assert!(!content(one(document.root(), "confidence")).contains("Shaded: "));
}

#[test]
fn map_rows_list_their_largest_weights() {
    let mut sample = Sample::of(1);
    let weights = vec![0.1, 0.7, 0.2, 1.0, 0.0, 0.0, 0.25, 0.25, 0.5];
    sample.set_attention(1, 1, weights);
    let page = html(&sample);
    let document = parse(&page);
    let map = one(one(document.root(), "layer-1"), "head-1");
    let titles: Vec<String> =
        map.children().map(|row| content(row.first_child().unwrap())).collect();
    assert_eq!(
        titles,
        [
            "[CLS] takes 0.700 w0, 0.200 [SEP], 0.100 [CLS]",
            "w0 takes 1.000 [CLS], 0.000 w0, 0.000 [SEP]",
            "[SEP] takes 0.500 [SEP], 0.250 [CLS], 0.250 w0",
        ]
    );
}

#[test]
fn shows_target_method_and_settings() {
    let mut sample = Sample::of(2);
    let target = Target::against(TARGET, "sadness");
    let labels = [TARGET, "sadness", "fear"].map(str::to_owned);
    let kind = ProblemType::MultiLabelClassification;
    let cut = Cut::new(TruncationSide::Right, 12, Some(90));
    sample.set_prediction(Prediction::new(labels.into(), vec![0.0, 1.0, 2.0], kind, Some(cut)));
    sample.set_goal(&target, Objective::Probability, kind);
    sample.set_method(Method::IntegratedGradients { steps: 7 });
    let page = html(&sample);
    let document = parse(&page);
    let named = |name: &str| {
        let found = document.descendants().filter(|node| node.tag_name().name() == name);
        found.map(content).collect::<Vec<_>>()
    };
    assert_eq!(named("h1"), ["joy & <b> rather than sadness"]);
    let lead = content(one(document.root(), "lead"));
    assert_eq!(lead, "probability 0.500, logit 0.000; the predicted label is fear, 0.881");
    let ledger = content(one(document.root(), "ledger"));
    assert!(ledger.starts_with("difference of probabilities −0.231 = words "), "{ledger}");
    assert_eq!(named("dt"), ["method", "steps", "model"]);
    assert_eq!(named("dd"), ["integrated-gradients", "7", "models/emotion"]);
    assert!(content(document.root()).contains("Not read: the last 90 tokens. The model takes 4."));
}

#[test]
fn regression_has_a_value_and_no_curves() {
    let mut sample = Sample::of(2);
    let labels = ["stars".to_owned()];
    let kind = ProblemType::Regression;
    sample.set_prediction(Prediction::new(labels.into(), vec![4.25], kind, None));
    sample.set_goal(&Target::default(), Objective::Logit, kind);
    let page = html(&sample);
    let document = parse(&page);
    assert_eq!(content(one(document.root(), "lead")), "value +4.250");
    assert!(content(one(document.root(), "ledger")).starts_with("value +4.250 = words "));
    assert!(all(document.root(), "lines").is_empty());
    assert!(page_of(&sample).pictures().iter().all(|(name, _)| name != "confidence.svg"));
}

#[test]
fn every_kind_of_curve_has_a_line_and_a_name() {
    let sample = Sample::of(2);
    let smallest = curve(Order::SmallestFirst, vec![0, 1], &[0.9, 0.5, 0.1]);
    let smallest = with_replacement(smallest, Replacement::Delete);
    let random = curve(Order::Random { seed: 7 }, vec![1, 0], &[0.8, 0.4, 0.2]);
    let page = page_of(&sample).curve(&smallest).curve(&random).html();
    let document = parse(&page);
    let picture = one(document.root(), "lines");
    check_line(picture, "smallest", smallest.points());
    check_line(picture, "random", random.points());
    let keys: Vec<String> = all(picture, "key").into_iter().map(content).collect();
    let names =
        ["most relevant first", "least relevant first", "smallest first", "random order (seed 7)"];
    assert_eq!(keys, names);
    assert!(content(picture).contains("words replaced by [PAD] or deleted"));
    let areas: Vec<String> = [&sample.most, &sample.least, &smallest, &random]
        .into_iter()
        .zip(names)
        .map(|(curve, name)| format!("{name} {:.3}", curve.area_under()))
        .collect();
    let caption = content(one(document.root(), "confidence"));
    assert!(
        caption.ends_with(&format!("Area under the lines: {}.", areas.join(", "))),
        "{caption}"
    );
}

#[test]
fn hostile_texts_are_escaped() {
    let mut sample = Sample::new(HOSTILE);
    let kind = ProblemType::SingleLabelClassification;
    sample.set_goal(&Target::against(HOSTILE, TARGET), Objective::Logit, kind);
    sample.set_token_texts(HOSTILE);
    let page = page_of(&sample).setting(HOSTILE, HOSTILE).html();
    let document = parse(&page);
    const HTML: &str = "html head meta title style body main h1 h2 p span div figure figcaption fieldset \
                        legend input label section dl dt dd";
    const SVG: &str = "svg g path rect line polyline circle text title";
    for node in document.descendants().filter(Node::is_element) {
        let known = if node.tag_name().namespace().is_some() { SVG } else { HTML };
        assert!(known.split_whitespace().any(|name| name == node.tag_name().name()), "{node:?}");
        for attribute in node.attributes() {
            let name = attribute.name();
            assert!(!name.starts_with("on") && !name.contains("href") && name != "src", "{name}");
        }
    }
    assert!(!page.contains("url(") && !page.contains("@import"));
    assert_eq!(
        page.matches("//").count(),
        page.matches("xmlns=\"http://www.w3.org/2000/svg\"").count()
    );
}

#[test]
fn pages_are_accessible() {
    let sample = Sample::new(HOSTILE);
    let page = html(&sample);
    let document = parse(&page);
    assert_eq!(document.root_element().attribute("lang"), Some("en"));
    let elements = |name: &'static str| {
        document.descendants().filter(move |node| node.tag_name().name() == name)
    };
    for picture in elements("svg") {
        assert_eq!(picture.attribute("role"), Some("img"));
        assert!(!picture.attribute("aria-label").unwrap().is_empty());
    }
    assert_eq!(elements("figure").count(), 3);
    for figure in elements("figure") {
        assert!(figure.children().any(|child| child.has_tag_name("figcaption")));
    }
    let labels: Vec<_> = elements("label").map(|label| label.attribute("for").unwrap()).collect();
    let inputs: Vec<_> = elements("input").map(|input| input.attribute("id").unwrap()).collect();
    assert_eq!(labels, inputs);
    let style = content(elements("style").next().unwrap());
    for id in inputs.iter().filter(|id| **id != "by-relevance") {
        assert!(style.contains(&format!("#{id}:checked")), "no CSS rule for {id}");
    }
    let chosen = elements("input").filter(|input| input.attribute("checked").is_some());
    let chosen: Vec<_> = chosen.map(|input| input.attribute("id").unwrap()).collect();
    assert_eq!(chosen, ["by-relevance", "layer-2", "head-mean"]);
}

#[test]
fn pictures_are_self_contained() {
    let sample = Sample::new(HOSTILE);
    let pictures = page_of(&sample).pictures();
    let names: Vec<&str> = pictures.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "words-by-relevance.svg",
            "words-in-text-order.svg",
            "confidence.svg",
            "attention-layer-1.svg",
            "attention-layer-2.svg",
        ]
    );
    for (name, picture) in &pictures {
        let document = parse(picture);
        let root = document.root_element();
        assert_eq!(root.tag_name().namespace(), Some("http://www.w3.org/2000/svg"), "{name}");
        assert!(root.children().any(|child| child.tag_name().name() == "style"), "{name}");
    }
}

#[test]
fn handles_non_finite_and_zero_relevances() {
    for relevance in [0.0, f32::NAN, f32::INFINITY, f32::MIN_POSITIVE, f32::MAX] {
        let mut sample = Sample::of(3);
        sample.set_relevances(|_| relevance);
        let (tokens, scores) = (sample.explanation.tokens().len(), [relevance; 4]);
        let weights = vec![relevance; LAYERS * HEADS * tokens * tokens];
        sample.set_attention(LAYERS, HEADS, weights);
        sample.set_prediction(prediction([f32::NAN; 2]));
        sample.most = curve(Order::MostRelevantFirst, vec![0, 1, 2], &scores);
        let page = html(&sample);
        let document = parse(&page);
        for node in document.descendants() {
            for name in ["x", "y", "width", "height", "cx", "cy", "points", "d", "transform"] {
                let place = node.attribute(name).unwrap_or_default();
                assert!(!place.contains("NaN") && !place.contains("inf"), "{relevance}: {node:?}");
            }
        }
    }
}
