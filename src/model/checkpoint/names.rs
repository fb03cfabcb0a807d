//! Names of tensors.

use std::collections::BTreeMap;

/// Returns `true` for a weight or a bias, and `false` for a buffer, such as `position_ids`, or the scales of a matrix.
pub(super) fn is_parameter(name: &str) -> bool {
    name.ends_with(".weight") || name.ends_with(".bias")
}

/// Renames the `gamma` and `beta` of old layer norms to `weight` and `bias`, unless there are tensors of these names.
pub(super) fn with_current_names<T>(tensors: BTreeMap<String, T>) -> BTreeMap<String, T> {
    let (old, mut current): (BTreeMap<_, _>, BTreeMap<_, _>) =
        tensors.into_iter().partition(|(name, _)| current_name(name).is_some());
    for (name, tensor) in old {
        let renamed = current_name(&name).filter(|renamed| !current.contains_key(renamed));
        current.insert(renamed.unwrap_or(name), tensor);
    }
    current
}

fn current_name(name: &str) -> Option<String> {
    if let Some(norm) = name.strip_suffix(".gamma") {
        Some(format!("{norm}.weight"))
    } else {
        Some(format!("{}.bias", name.strip_suffix(".beta")?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_names_give_way_to_current_ones() {
        let tensors = ["a.gamma", "a.beta", "b.gamma", "b.weight", "gamma"];
        let tensors = tensors.into_iter().map(|name| (name.to_owned(), name)).collect();
        let found: Vec<_> = with_current_names(tensors).into_iter().collect();
        let expected = [
            ("a.bias", "a.beta"),
            ("a.weight", "a.gamma"),
            ("b.gamma", "b.gamma"),
            ("b.weight", "b.weight"),
            ("gamma", "gamma"),
        ];
        assert!(found.iter().map(|(name, from)| (name.as_str(), *from)).eq(expected), "{found:?}");
    }
}
