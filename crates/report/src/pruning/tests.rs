use super::*;

fn model(name: &str, share: f64, width: usize, quality: Option<f64>) -> Model {
    Model {
        name: name.to_owned(),
        share,
        parameters: 1000,
        bytes: 4_500_000,
        layers: vec![[12, width], [if share < 1.0 { 7 } else { 12 }, width]],
        times: vec![(16, 2.0 * share), (128, 20.0 * share)],
        agreement: Some(0.9 + share / 10.0),
        quality: quality.map(|accuracy| Quality {
            rows: 50,
            accuracy,
            macro_f1: accuracy - 0.05,
            classes: vec![("<fear>".to_owned(), accuracy / 2.0)],
        }),
    }
}

fn parsed(models: &[Model]) -> String {
    let html = Page::new(models).setting("seed", "0 & more").html();
    let (_, document) = html.split_once('\n').unwrap();
    roxmltree::Document::parse(document).unwrap();
    html
}

#[test]
fn page_shows_what_changed() {
    let models =
        [model("original", 1.0, 1536, Some(0.7)), model("pruned <1>", 0.5, 352, Some(0.69))];
    let html = parsed(&models);
    for part in [
        "Pruned to 50.0% of the multiply-adds",
        "pruned &lt;1&gt;",
        "&lt;fear&gt;",
        "1.00 (2.00×)",
        "layer 1: 7 of 12 heads, 352 of 1536 neurons",
        "95.00%",
        "−0.005",
        "0 &amp; more",
    ] {
        assert!(html.contains(part), "{part}");
    }
    assert!(!html.contains("<script") && !html.contains("class=\"curve\""));
}

#[test]
fn several_models_give_a_curve() {
    let models = [
        model("original", 1.0, 1536, Some(0.7)),
        model("0.7", 0.7, 800, Some(0.7)),
        model("0.5", 0.5, 352, Some(0.6)),
    ];
    let html = parsed(&models);
    assert!(html.contains("2 pruned models") && html.contains("class=\"curve\""));
    assert!(html.contains("accuracy: 60.0% at 50.0% of the multiply-adds, 70.0% at 70.0%"));
}

#[test]
fn labels_are_optional() {
    let html = parsed(&[model("original", 1.0, 1536, None), model("pruned", 0.5, 352, None)]);
    assert!(html.contains("Without labeled texts") && !html.contains("F1 of each label"));
}
