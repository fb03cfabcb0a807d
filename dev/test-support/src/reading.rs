//! Parsing of pages as XML.

use roxmltree::{Document, Node, ParsingOptions};

pub fn parse(page: &str) -> Document<'_> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    Document::parse_with_options(page, options).unwrap()
}

/// Returns the elements of a class.
pub fn all<'a>(node: Node<'a, 'a>, class: &str) -> Vec<Node<'a, 'a>> {
    let has = |node: &Node<'_, '_>| {
        node.attribute("class").is_some_and(|found| found.split(' ').any(|one| one == class))
    };
    node.descendants().filter(has).collect()
}

pub fn one<'a>(node: Node<'a, 'a>, class: &str) -> Node<'a, 'a> {
    let found = all(node, class);
    assert_eq!(found.len(), 1, "elements of class {class}");
    found[0]
}

pub fn content(node: Node<'_, '_>) -> String {
    node.descendants().filter_map(|node| node.text().filter(|_| node.is_text())).collect()
}

pub fn length(node: Node<'_, '_>, name: &str) -> f64 {
    node.attribute(name).unwrap().parse().unwrap()
}

/// Checks that no element or attribute can run or load anything.
pub fn check_harmless(page: &str) {
    let document = parse(page);
    for node in document.descendants().filter(Node::is_element) {
        let name = node.tag_name().name();
        assert!(
            !["script", "img", "a", "link", "iframe", "object", "use"].contains(&name),
            "{name}"
        );
        for attribute in node.attributes() {
            let (name, value) = (attribute.name(), attribute.value());
            assert!(!name.starts_with("on") && !name.contains("href") && name != "src", "{name}");
            let strength = value.strip_prefix("--strength:");
            assert!(name != "style" || strength.is_some_and(|strength| strength.len() == 5));
        }
        if node.tag_name().name() == "style" {
            let style = content(node);
            assert!(!style.contains("url(") && !style.contains("@import"));
        }
    }
}
