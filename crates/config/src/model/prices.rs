//! What tokens of models cost.

use larder_semantics::matches_pattern;

/// Prices by the names of models.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prices(pub(crate) Vec<(String, Price)>);

/// The price of a million tokens, in whatever currency the operator thinks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Price {
    /// Of requests.
    pub input: f64,
    /// Of answers.
    pub output: f64,
}

impl Prices {
    /// Whether no model has a price.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The price of a model: that of its name, otherwise that of the longest pattern that suits it.
    pub fn of(&self, model: &str) -> Option<&Price> {
        let suiting = self.0.iter().filter(|(pattern, _)| matches_pattern(pattern, model.as_bytes()));
        suiting.max_by_key(|(pattern, _)| (!pattern.contains('*'), pattern.len())).map(|(_, price)| price)
    }
}

impl Price {
    /// What so many tokens cost.
    pub fn of_tokens(&self, input: u64, output: u64) -> f64 {
        (input as f64 * self.input + output as f64 * self.output) / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_counts() {
        let price = |input| Price { input, output: 4.0 };
        let prices = Prices(vec![("gpt-4o*".into(), price(1.0)), ("gpt-4o-mini*".into(), price(2.0)), ("gpt-4o".into(), price(3.0))]);
        let of = |model: &str| prices.of(model).map(|price| price.input);
        assert_eq!([of("gpt-4o-2024"), of("gpt-4o-mini-2024"), of("gpt-4o"), of("claude")], [Some(1.0), Some(2.0), Some(3.0), None]);
        assert_eq!(price(2.0).of_tokens(500_000, 250_000), 2.0);
    }
}
