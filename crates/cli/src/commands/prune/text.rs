//! The result of pruning as text.

use std::path::Path;

use distilbert::prune::{Pruned, PrunedLayer};

use crate::render::terminal::{BOLD, escape};

/// Returns the sizes of a pruned model.
pub fn summary(folder: &Path, pruned: &Pruned<'_>) -> String {
    let mut text = format!("{BOLD}layer  heads     width{BOLD:#}\n");
    for (index, PrunedLayer { heads, hidden_dim, .. }) in pruned.layers().iter().enumerate() {
        let heads = format!("{}/{}", heads[1], heads[0]);
        let width = format!("{}/{}", hidden_dim[1], hidden_dim[0]);
        text += &format!("{index:<5}  {heads:<8}  {width}\n");
    }
    let share = 100.0 * pruned.kept_share();
    text += &format!("{share:.1}% of the multiply-adds at {} tokens\n", pruned.tokens());
    text + &escape(&folder.display().to_string()) + "\n"
}
