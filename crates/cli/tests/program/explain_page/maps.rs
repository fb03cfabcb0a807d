//! Checks of the attention maps.

use distilbert::explain::AttentionWeights;
use roxmltree::Node;
use test_support::list;
use test_support::reading::{all, content, length, one, parse};

use super::{Made, Part};

/// Returns the shade of each cell of a map, by row, from its paths.
fn shades(map: Node<'_, '_>) -> Vec<Vec<u32>> {
    let rows = map.children().filter(|node| node.tag_name().name() == "g");
    let rows = rows.map(|row| {
        let mut cells = vec![0; length(one(row, "row"), "width") as usize];
        for path in row.children().filter(|node| node.tag_name().name() == "path") {
            let shade = path.attribute("class").unwrap()[1..].parse().unwrap();
            for run in path.attribute("d").unwrap().split('M').skip(1) {
                let (x, run) = run.split_once(' ').unwrap();
                let (middle, width) = run.split_once('h').unwrap();
                let middle: f64 = middle.parse().unwrap();
                assert_eq!(middle, length(one(row, "row"), "y") + 0.5);
                let (x, width): (usize, usize) = (x.parse().unwrap(), width.parse().unwrap());
                cells[x..x + width].fill(shade);
            }
        }
        cells
    });
    rows.collect()
}

/// Checks the attention maps of all layers and heads.
pub fn check_maps(picture: Node<'_, '_>, made: &Made, weights: &AttentionWeights) {
    let tokens: Vec<Part> = list(&made.json["tokens"]).iter().map(Part::new).collect();
    let size = |token: usize| match token {
        0 => f64::INFINITY,
        _ if token == tokens.len() - 1 => f64::INFINITY,
        _ => tokens[token].relevance.abs(),
    };
    let mut cells: Vec<usize> = (0..tokens.len()).collect();
    cells.sort_by(|&a, &b| size(b).total_cmp(&size(a)));
    cells.truncate(28);
    cells.sort_unstable();
    let names: Vec<String> = all(picture, "small").into_iter().map(content).collect();
    for (pair, &token) in names.chunks(2).zip(&cells) {
        let name = &tokens[token].text;
        assert!(pair.iter().all(|found| found == name || found.ends_with('…')), "{pair:?} {name}");
    }
    let expected = |weights: &[f32]| {
        let row = |&row: &usize| {
            let cells = cells.iter().map(|&column| weights[row * tokens.len() + column]);
            cells.map(|weight| (12.0 * weight.sqrt()).round() as u32).collect::<Vec<_>>()
        };
        cells.iter().map(row).collect::<Vec<_>>()
    };
    for layer in 0..weights.layers() {
        let group = one(picture, &format!("layer-{}", layer + 1));
        let mean = shades(one(group, "head-mean"));
        assert_eq!(mean, expected(&weights.mean(layer).unwrap()));
        let alone = parse(&made.pictures[&format!("attention-layer-{}.svg", layer + 1)]);
        assert_eq!(shades(one(alone.root(), "map")), mean);
        for head in 0..weights.heads() {
            let found = shades(one(group, &format!("head-{}", head + 1)));
            assert_eq!(found, expected(weights.head(layer, head).unwrap()));
        }
    }
}
