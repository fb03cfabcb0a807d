//! Style sheets of the reports, for programs whose own pages should look like them.
//!
//! They use custom properties for colors, which follow the reader's preference for light or dark.

/// Colors, and the parts of pictures.
pub const PICTURES: &str = include_str!("page/picture.css");

/// Layout and type of a page.
pub const PAGE: &str = include_str!("page/page.css");

/// Text that is shaded by the relevance of its words: elements of the class `for` or `against`, in one of the class
/// `text`, with the custom property `--strength` from 0 to 1.
pub const TEXT: &str = include_str!("explanation/text.css");
