//! [`Page`]: the HTML report of an explanation.

mod attention;
mod bars;
mod curves;
mod html;
#[cfg(test)]
mod tests;
mod text;

use self::attention::Maps;
use self::bars::Bars;
use distilbert::explain::{Curve, Explanation, Method, Objective, Token, Word};

/// HTML report of an explanation: one self-contained file with SVG pictures, or the pictures alone. It contains no
/// scripts and loads nothing, whatever the text contains.
///
/// The page shows the text shaded by relevance, a bar for each word (for the 25 most relevant words of a longer text),
/// the ledger, and the settings. It also shows [curves](Self::curve) if there are any, and the weights of
/// [attention](distilbert::explain::ExplainOptions::attention) by layer and head if the explanation has them.
///
/// ```
/// # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))?;
/// use distilbert::Classifier;
/// use distilbert::explain::{ExplainOptions, Order, PerturbOptions};
/// use distilbert_report::explanation::Page;
///
/// let classifier = Classifier::builder("models/emotion").build()?;
/// let options = ExplainOptions::default().attention(true);
/// let explanation = classifier.explain("I can't believe we won!", &options)?;
/// let most = classifier.perturb(&explanation, &PerturbOptions::default())?;
/// let least = PerturbOptions::default().order(Order::LeastRelevantFirst);
/// let least = classifier.perturb(&explanation, &least)?;
///
/// let page = Page::new(&explanation).curve(&most).curve(&least).setting("model", "models/emotion");
/// assert!(page.html().starts_with("<!DOCTYPE html>"));
/// let names: Vec<String> = page.pictures().into_iter().map(|(name, _)| name).collect();
/// assert_eq!(names[..3], ["words-by-relevance.svg", "words-in-text-order.svg", "confidence.svg"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Page<'a> {
    explanation: &'a Explanation,
    curves: Vec<&'a Curve>,
    settings: Vec<(String, String)>,
}

impl<'a> Page<'a> {
    /// Creates the page of an explanation.
    pub fn new(explanation: &'a Explanation) -> Self {
        let mut page = Self { explanation, curves: Vec::new(), settings: Vec::new() };
        if let Method::IntegratedGradients { steps } = explanation.method() {
            page = page.setting("steps", steps.to_string());
        }
        page
    }

    /// Adds a curve of the target's probability while words are removed. Large losses are highlighted on a curve whose
    /// order is [`Order::MostRelevantFirst`](distilbert::explain::Order::MostRelevantFirst). Curves of a regression
    /// model, which has no probability, are not drawn.
    pub fn curve(mut self, curve: &'a Curve) -> Self {
        self.curves.push(curve);
        self
    }

    /// Adds a setting to display below the method, such as the model's name.
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Renders the page as HTML, which is also well-formed XML.
    pub fn html(&self) -> String {
        html::page(self)
    }

    /// Renders the pictures as SVG files and returns their names and contents: `words-by-relevance.svg` and
    /// `words-in-text-order.svg`; `confidence.svg` if there are curves; and, if the explanation has attention weights,
    /// `attention-layer-1.svg` and so on, each averaged over the heads of a layer.
    pub fn pictures(&self) -> Vec<(String, String)> {
        let bars = Bars::new(self);
        let mut pictures = vec![
            ("words-by-relevance.svg".to_owned(), bars.picture(bars::Order::Relevance).alone()),
            ("words-in-text-order.svg".to_owned(), bars.picture(bars::Order::Text).alone()),
        ];
        if !self.curves().is_empty() {
            pictures.push(("confidence.svg".to_owned(), curves::picture(self).alone()));
        }
        if let Some(weights) = self.explanation.attention() {
            let maps = Maps::new(self, weights);
            let layers = 0..weights.layers();
            pictures.extend(layers.map(|layer| {
                (format!("attention-layer-{}.svg", layer + 1), maps.layer(layer).alone())
            }));
        }
        pictures
    }

    fn words(&self) -> &'a [Word] {
        self.explanation.words()
    }

    fn tokens(&self) -> &'a [Token] {
        self.explanation.tokens()
    }

    /// Returns the curves to draw; none if there is no probability or no word.
    fn curves(&self) -> &[&'a Curve] {
        match self.probability() {
            Some(_) if !self.words().is_empty() => &self.curves,
            _ => &[],
        }
    }

    /// Returns the target's probability; `None` for a regression model.
    fn probability(&self) -> Option<f32> {
        self.explanation.probability()
    }

    /// Returns the target, in words.
    fn goal(&self) -> String {
        let target = self.explanation.target();
        match self.explanation.against() {
            Some(against) => format!("{target} rather than {against}"),
            None => target.to_owned(),
        }
    }

    /// Returns the explained quantity, in words.
    fn objective(&self) -> &'static str {
        let (one, difference) = match self.explanation.objective() {
            Objective::Probability => ("probability", "difference of probabilities"),
            Objective::Logit if self.probability().is_some() => ("logit", "difference of logits"),
            _ => ("value", "difference of values"),
        };
        if self.explanation.against().is_some() { difference } else { one }
    }

    /// Returns the relevance that is drawn at full strength.
    fn largest(&self) -> f64 {
        let words = self.words().iter().map(|word| word.relevance);
        words
            .filter(|value| value.is_finite())
            .fold(0f32, |most, value| most.max(value.abs()))
            .into()
    }

    /// Returns the sum of the words' relevances.
    fn words_total(&self) -> f64 {
        self.words().iter().map(|word| f64::from(word.relevance)).sum()
    }

    /// Returns the number of special tokens before the words, such as `[CLS]`.
    fn special_before(&self) -> usize {
        self.words().first().map_or(self.tokens().len(), |word| word.tokens.start)
    }

    /// Returns `true` if a token is not part of the text.
    fn is_special(&self, token: usize) -> bool {
        let end = self.words().last().map_or(0, |word| word.tokens.end);
        token < self.special_before() || token >= end
    }

    /// Returns the tokens that are not part of the text.
    fn special(&self) -> impl Iterator<Item = &'a Token> {
        let tokens = self.tokens().iter().enumerate();
        tokens.filter(|(at, _)| self.is_special(*at)).map(|(_, token)| token)
    }
}
