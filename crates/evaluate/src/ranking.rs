//! [`Ranking`]: methods that rank the words of a text.

use std::fmt;
use std::str::FromStr;

use distilbert::ParseNameError;
use distilbert::explain::Method;

/// Method that ranks the words of a text by importance.
///
/// `Display` and `FromStr` use the names of [`Method`], `rollout` and `random`.
///
/// ```
/// use distilbert::explain::Method;
/// use distilbert_evaluate::Ranking;
///
/// let ranking: Ranking = "integrated-gradients:20".parse()?;
/// assert_eq!(ranking, Ranking::Method(Method::IntegratedGradients { steps: 20 }));
/// assert_eq!("rollout".parse(), Ok(Ranking::Rollout));
/// # Ok::<(), distilbert::ParseNameError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ranking {
    /// Relevances of an attribution method for the predicted label.
    Method(Method),
    /// Attention [rollout](distilbert::explain::AttentionWeights::rollout).
    Rollout,
    /// Random order, the baseline that every method should beat: the mean over
    /// [several orders](crate::ComparisonOptions::random_orders) of each text.
    Random,
}

impl Ranking {
    /// Every ranking, in the order in which they are compared by default.
    pub const ALL: &'static [Self] = &[
        Self::Method(Method::Lrp),
        Self::Method(Method::GradientXInput),
        Self::Method(Method::AttnLrp),
        Self::Method(Method::IntegratedGradients { steps: Method::DEFAULT_STEPS }),
        Self::Rollout,
        Self::Random,
    ];

    /// Returns the name without the number of steps: [`Method::name`], `rollout` or `random`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Method(method) => method.name(),
            Self::Rollout => "rollout",
            Self::Random => "random",
        }
    }

    pub(crate) fn method(self) -> Option<Method> {
        match self {
            Self::Method(method) => Some(method),
            Self::Rollout | Self::Random => None,
        }
    }
}

impl From<Method> for Ranking {
    fn from(method: Method) -> Self {
        Self::Method(method)
    }
}

impl fmt::Display for Ranking {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method(method) => method.fmt(formatter),
            Self::Rollout | Self::Random => formatter.pad(self.name()),
        }
    }
}

impl FromStr for Ranking {
    type Err = ParseNameError;

    fn from_str(name: &str) -> Result<Self, ParseNameError> {
        match name {
            "rollout" => Ok(Self::Rollout),
            "random" => Ok(Self::Random),
            _ => name.parse().map(Self::Method).map_err(|_: ParseNameError| {
                const NAMES: [&str; Ranking::ALL.len()] = {
                    let mut names = [""; Ranking::ALL.len()];
                    let mut index = 0;
                    while index < names.len() {
                        names[index] = Ranking::ALL[index].name();
                        index += 1;
                    }
                    names
                };
                ParseNameError::new("ranking", name, &NAMES)
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_to_the_ranking_they_display() {
        for &ranking in Ranking::ALL {
            assert_eq!(ranking.to_string().parse(), Ok(ranking));
        }
        let error = "luck".parse::<Ranking>().unwrap_err();
        assert_eq!((error.option(), error.found()), ("ranking", "luck"));
        assert_eq!(error.expected().last(), Some(&"random"));
    }

    #[test]
    fn all_contains_every_method() {
        let methods: Vec<_> = Ranking::ALL.iter().filter_map(|ranking| ranking.method()).collect();
        assert_eq!(methods.len(), Method::ALL.len());
        assert!(Method::ALL.iter().all(|method| methods.contains(method)));
    }
}
