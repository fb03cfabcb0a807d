//! Reads pages back as XML and holds them against what they were made of.

use roxmltree::{Document, Node, ParsingOptions};

use super::sample::{HEADS, HOSTILE, LAYERS, Sample};
use super::*;

fn parse(page: &str) -> Document<'_> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    Document::parse_with_options(page, options).unwrap()
}

/// The elements of a class.
fn all<'a>(node: Node<'a, 'a>, class: &str) -> Vec<Node<'a, 'a>> {
    let has = |node: &Node<'_, '_>| {
        node.attribute("class").is_some_and(|found| found.split(' ').any(|one| one == class))
    };
    node.descendants().filter(has).collect()
}

fn one<'a>(node: Node<'a, 'a>, class: &str) -> Node<'a, 'a> {
    let found = all(node, class);
    assert_eq!(found.len(), 1, "elements of class {class}");
    found[0]
}

fn content(node: Node<'_, '_>) -> String {
    node.descendants().filter_map(|node| node.text().filter(|_| node.is_text())).collect()
}

fn length(node: Node<'_, '_>, name: &str) -> f64 {
    node.attribute(name).unwrap().parse().unwrap()
}

/// A number as the page prints it.
fn value(shown: &str) -> f64 {
    shown.replace('\u{2212}', "-").parse().unwrap()
}

/// What a page makes of a text it shows: controls turn into pictures.
fn shown(text: &str) -> String {
    text.replace('\u{1b}', "␛")
}

/// Checks that a picture has one bar for each word, in this order, with its name, its value to the printed
/// digits, and a length and side in proportion.
fn check_bars(picture: Node<'_, '_>, words: &[(String, f32)]) {
    let children = |class| all(picture, class);
    let (bars, names, values) = (children("bar"), children("name"), children("value"));
    assert_eq!(bars.len(), words.len());
    assert_eq!((names.len(), values.len()), (words.len(), words.len()));
    let zero = length(one(picture, "axis"), "x1");
    let longest = words.iter().map(|word| word.1.abs()).fold(0.0, f32::max);
    let full = bars.iter().map(|bar| length(*bar, "width")).fold(0.0, f64::max);
    for (index, (word, relevance)) in words.iter().enumerate() {
        let relevance = f64::from(*relevance);
        let printed = content(values[index]);
        assert!((value(&printed) - relevance).abs() <= 0.5001e-3, "{word} {printed} {relevance}");
        assert_eq!(content(bars[index]), format!("{printed} {}", shown(word)));
        let name = content(names[index]);
        match name.strip_suffix('…') {
            Some(start) => assert!(shown(word).starts_with(start)),
            None => assert_eq!(name, shown(word)),
        }
        let (x, width) = (length(bars[index], "x"), length(bars[index], "width"));
        assert!((width - full * relevance.abs() / f64::from(longest)).abs() <= 0.5, "{word}");
        let edge = if relevance < 0.0 { x + width } else { x };
        assert!((edge - zero).abs() <= 0.11 || width <= 0.5, "{word} starts at zero");
        let class = if relevance < 0.0 { "against" } else { "for" };
        assert!(bars[index].attribute("class").unwrap().contains(class));
        let row = |node| length(node, "y");
        assert_eq!(row(names[index]), row(values[index]));
    }
}

fn sorted(words: &[(String, f32)]) -> Vec<(String, f32)> {
    let mut words = words.to_vec();
    words.sort_by(|a, b| b.1.total_cmp(&a.1));
    words
}

#[test]
fn bars_agree_with_the_words() {
    for sample in
        [Sample::new(HOSTILE), Sample::of(0), Sample::of(1), Sample::of(3), Sample::of(25)]
    {
        let page = page(&sample.view());
        let document = parse(&page);
        check_bars(one(document.root(), "by-text"), &sample.tokens);
        check_bars(one(document.root(), "by-relevance"), &sorted(&sample.tokens));
    }
}

#[test]
fn of_many_words_the_strongest_have_bars_and_the_caption_sums_up_the_others() {
    let sample = Sample::of(400);
    let page = page(&sample.view());
    let document = parse(&page);
    let mut order: Vec<usize> = (0..400).collect();
    let size = |&word: &usize| sample.words()[word].1.abs();
    order.sort_by(|a, b| size(b).total_cmp(&size(a)));
    let shown = |index: &usize| order[..25].contains(index);
    let mut rows = vec![sample.tokens[0].clone()];
    rows.extend((0..400).filter(shown).map(|word| sample.words()[word].clone()));
    rows.push(sample.tokens[401].clone());
    check_bars(one(document.root(), "by-text"), &rows);
    check_bars(one(document.root(), "by-relevance"), &sorted(&rows));

    let sum: f64 = order[25..].iter().map(|&word| f64::from(sample.words()[word].1)).sum();
    let caption = content(one(document.root(), "bars"));
    let after =
        caption.split("The 25 strongest of 400 words; the other 375 sum to ").nth(1).unwrap();
    let printed = after.split(". ").next().unwrap();
    assert!((value(printed) - sum).abs() <= 0.5001e-3, "{printed} {sum}");
}

#[test]
fn the_text_is_whole_and_each_word_is_shaded_by_its_relevance() {
    for sample in [Sample::new(HOSTILE), Sample::new(" tabs\tand\n lines  "), Sample::of(400)] {
        let page = page(&sample.view());
        let document = parse(&page);
        let text = one(document.root(), "text");
        assert_eq!(content(text), shown(&sample.text));
        let spans: Vec<_> = text.children().filter(Node::is_element).collect();
        assert_eq!(spans.len(), sample.words().len());
        let largest = sample.words().iter().map(|word| word.1.abs()).fold(0.0, f32::max);
        for (span, (word, relevance)) in spans.into_iter().zip(sample.words()) {
            assert_eq!(content(span), shown(word));
            let strength = span.attribute("style").unwrap().strip_prefix("--strength:").unwrap();
            assert!((value(strength) - f64::from(relevance.abs() / largest)).abs() < 0.6e-3);
            assert!(
                (value(span.attribute("title").unwrap()) - f64::from(*relevance)).abs() < 0.6e-3
            );
            let class = if *relevance < 0.0 { "against" } else { "for" };
            assert_eq!(span.attribute("class"), Some(class));
        }
    }
}

/// Elements of a class that have this name.
fn named<'a>(node: Node<'a, 'a>, name: &str, class: &str) -> Vec<Node<'a, 'a>> {
    all(node, class).into_iter().filter(|node| node.tag_name().name() == name).collect()
}

/// Checks one line of the confidence picture: a point for each step, at its probability.
fn check_line(picture: Node<'_, '_>, class: &str, gone: &[usize], probabilities: &[f32]) {
    let grid = named(picture, "line", "grid");
    let (top, bottom) = (length(grid[3], "y1"), length(grid[0], "y1"));
    let (left, right) = (length(grid[0], "x1"), length(grid[0], "x2"));
    let line = named(picture, "polyline", class)[0].attribute("points").unwrap();
    let points: Vec<_> = line.split(' ').map(|point| point.split_once(',').unwrap()).collect();
    assert_eq!(points.len(), probabilities.len());
    let end = gone.last().copied().unwrap().max(1) as f64;
    for ((x, y), (&gone, &probability)) in points.into_iter().zip(gone.iter().zip(probabilities)) {
        let expected = left + (right - left) * gone as f64 / end;
        assert!((value(x) - expected).abs() <= 0.051, "{class} {gone}: {x} {expected}");
        let expected = bottom + (top - bottom) * f64::from(probability);
        assert!((value(y) - expected).abs() <= 0.051, "{class} {gone}: {y} {expected}");
    }
}

#[test]
fn lines_pass_through_every_probability() {
    for count in [0, 1, 3, 25, 400] {
        let sample = Sample::of(count);
        let view = sample.view();
        let page = page(&view);
        let document = parse(&page);
        let picture = one(document.root(), "lines");
        let curves = view.curves.as_ref().unwrap();
        for (class, curve) in [("most", &curves.most_first), ("least", &curves.least_first)] {
            check_line(picture, class, &curves.gone, &curve.probabilities);
        }
        let half = named(picture, "line", "half")[0];
        let grid = named(picture, "line", "grid");
        assert_eq!(2.0 * length(half, "y1"), length(grid[0], "y1") + length(grid[3], "y1"));
        let titles: Vec<String> = all(picture, "dot").into_iter().map(content).collect();
        let (least, most) = titles.split_at(count + 1);
        assert_eq!(least[0], "1.000 after 0 words, least relevant first");
        assert_eq!(most[0], "1.000 after 0 words, most relevant first");
        if count == 3 {
            assert_eq!(most[1], "0.296 after 1 word, most relevant first, last: w2");
            assert_eq!(least[2], "0.333 after 2 words, least relevant first, last: w1");
        }
    }
}

#[test]
fn costly_steps_are_shaded_and_name_their_loss() {
    let sample = Sample::of(3);
    let mut view = sample.view();
    view.curves.as_mut().unwrap().most_first.probabilities = vec![0.95, 0.9, 0.4, 0.2];
    let page = page(&view);
    let document = parse(&page);
    let picture = one(document.root(), "lines");
    let left: Vec<f64> = all(picture, "costly").iter().map(|step| length(*step, "x")).collect();
    let losses: Vec<String> = all(picture, "loss").into_iter().map(content).collect();
    let third = (392.0 - 34.0) / 3.0;
    assert_eq!(left.len(), 2);
    assert!((left[0] - (34.0 + third)).abs() < 0.1 && (left[1] - (34.0 + 2.0 * third)).abs() < 0.1);
    assert_eq!(losses, ["−0.50", "−0.20"]);
}

/// How dark each cell of a map is, by row, from its paths.
fn shades(map: Node<'_, '_>) -> Vec<Vec<u32>> {
    let rows =
        map.children().filter(|node| node.has_tag_name((map.tag_name().namespace().unwrap(), "g")));
    let rows = rows.map(|row| {
        let mut cells = vec![0; length(one(row, "row"), "width") as usize];
        for path in row.children().filter(|node| node.tag_name().name() == "path") {
            let shade = path.attribute("class").unwrap()[1..].parse().unwrap();
            for run in path.attribute("d").unwrap().split('M').skip(1) {
                let (x, run) = run.split_once(' ').unwrap();
                let (middle, width) = run.split_once('h').unwrap();
                assert_eq!(value(middle), length(one(row, "row"), "y") + 0.5);
                let (x, width): (usize, usize) = (x.parse().unwrap(), width.parse().unwrap());
                cells[x..x + width].fill(shade);
            }
        }
        cells
    });
    rows.collect()
}

#[test]
fn every_layer_and_head_has_a_map_of_its_weights() {
    for count in [0, 3, 40] {
        let sample = Sample::of(count);
        let page = page(&sample.view());
        let document = parse(&page);
        let picture = one(document.root(), "map");
        let tokens = sample.tokens.len();
        let mut shown: Vec<usize> = (0..tokens).collect();
        let size = |&token: &usize| match token {
            0 => 9.0,
            _ if token == tokens - 1 => 9.0,
            _ => sample.tokens[token].1.abs(),
        };
        shown.sort_by(|a, b| size(b).total_cmp(&size(a)));
        shown.truncate(28);
        shown.sort_unstable();
        let names: Vec<String> = all(picture, "small").into_iter().map(content).collect();
        let expected = shown.iter().flat_map(|&token| [&sample.tokens[token].0; 2]);
        assert!(names.iter().zip(expected).all(|(found, expected)| found == expected));
        for layer in 0..LAYERS {
            let group = one(picture, &format!("layer-{}", layer + 1));
            for head in 0..HEADS {
                let found = shades(one(group, &format!("head-{}", head + 1)));
                let start = (layer * HEADS + head) * tokens * tokens;
                let weight =
                    |row: usize, column: usize| sample.weights[start + row * tokens + column];
                let expected = shown.iter().map(|&row| {
                    let shades = shown
                        .iter()
                        .map(|&column| (12.0 * weight(row, column).sqrt()).round() as u32);
                    shades.collect::<Vec<_>>()
                });
                assert_eq!(found, expected.collect::<Vec<_>>());
            }
            let mean = |cell: usize| {
                let heads = (0..HEADS).map(|head| {
                    f64::from(sample.weights[(layer * HEADS + head) * tokens * tokens + cell])
                });
                heads.sum::<f64>() / HEADS as f64
            };
            let found = shades(one(group, "head-mean"));
            let expected = (12.0 * mean(shown[1]).sqrt()).round() as u32;
            assert_eq!(found[0][1], expected);
        }
        let all = content(one(document.root(), "maps"));
        let cut = format!("The 28 most relevant of {tokens} tokens");
        assert_eq!(all.contains(&cut), tokens > 28);
    }
}

#[test]
fn a_row_of_a_map_names_its_largest_weights() {
    let mut sample = Sample::of(1);
    sample.weights[..9].copy_from_slice(&[0.1, 0.7, 0.2, 1.0, 0.0, 0.0, 0.25, 0.25, 0.5]);
    let page = page(&sample.view());
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
fn the_ledger_is_one_line() {
    let mut sample = Sample::of(2);
    sample.tokens[1].1 = 1.5;
    sample.tokens[2].1 = -0.379;
    let page = page(&sample.view());
    let document = parse(&page);
    assert_eq!(
        content(one(document.root(), "ledger")),
        "logit +1.500 = words +1.121 + [CLS] and [SEP] +0.125 + bias +0.255 + softmax −0.001 (unexplained 3e-15)"
    );
}

#[test]
fn target_method_and_settings_are_stated() {
    let sample = Sample::of(2);
    let mut view = sample.view();
    view.against = Some("sadness");
    let page = page(&view);
    let document = parse(&page);
    let named = |name: &str| {
        let found = document.descendants().filter(|node| node.tag_name().name() == name);
        found.map(content).collect::<Vec<_>>()
    };
    assert_eq!(named("h1"), ["joy & <b> rather than sadness"]);
    assert_eq!(content(one(document.root(), "lead")), "probability 0.750, logit +1.500");
    assert_eq!(named("dt"), ["method", "replacement"]);
    assert_eq!(named("dd"), ["lrp", "[PAD]"]);
}

#[test]
fn nothing_runs_and_nothing_is_loaded() {
    let sample = Sample::new(HOSTILE);
    let mut view = sample.view();
    view.target = HOSTILE;
    view.against = Some(HOSTILE);
    view.method = HOSTILE;
    view.objective = HOSTILE;
    view.settings = vec![(HOSTILE.to_owned(), HOSTILE.to_owned())];
    view.ledger = vec![(HOSTILE, 1.0)];
    view.curves.as_mut().unwrap().replacement = HOSTILE;
    view.curves.as_mut().unwrap().measures = vec![(HOSTILE, 1.0)];
    let page = page(&view);
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
fn those_who_do_not_see_the_page_are_told() {
    let sample = Sample::new(HOSTILE);
    let page = page(&sample.view());
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
        assert!(style.contains(&format!("#{id}:checked")), "a rule shows what {id} chooses");
    }
    let chosen = elements("input").filter(|input| input.attribute("checked").is_some());
    let chosen: Vec<_> = chosen.map(|input| input.attribute("id").unwrap()).collect();
    assert_eq!(chosen, ["by-relevance", "layer-2", "head-mean"]);
}

#[test]
fn pictures_stand_alone() {
    let sample = Sample::new(HOSTILE);
    let pictures = pictures(&sample.view());
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
    check_bars(parse(&pictures[0].1).root(), &sorted(&sample.tokens));
    check_bars(parse(&pictures[1].1).root(), &sample.tokens);
}

#[test]
fn numbers_that_are_none_and_words_without_relevance_make_a_page() {
    for relevance in [0.0, f32::NAN, f32::INFINITY, f32::MIN_POSITIVE, f32::MAX] {
        let mut sample = Sample::of(3);
        sample.tokens.iter_mut().for_each(|token| token.1 = relevance);
        sample.weights.fill(relevance);
        let mut view = sample.view();
        view.curves.as_mut().unwrap().most_first.probabilities.fill(relevance);
        view.value = f64::NAN;
        let page = page(&view);
        let document = parse(&page);
        for node in document.descendants() {
            for name in ["x", "y", "width", "height", "cx", "cy", "points", "d", "transform"] {
                let place = node.attribute(name).unwrap_or_default();
                assert!(!place.contains("NaN") && !place.contains("inf"), "{relevance}: {node:?}");
            }
        }
    }
}
