//! The price list: one table, with its date and Region; the policy may override any figure.
//!
//! List prices without tax and discounts, first tier. Requests are counted by the thousand as AWS bills
//! them. Source: Amazon S3 pricing, us-east-1.

use super::class::Class;
use serde::Deserialize;

/// Where and when [`Prices::default`] holds.
pub const REGION: &str = "us-east-1";
/// The month the list was read.
pub const AS_OF: &str = "2025-09";

/// Bytes of an object that an offline class bills beside it, at its own price and at Standard's.
pub const OVERHEAD_OFFLINE_BYTES: f64 = 32.0 * 1_024.0;
/// The part billed at Standard's price.
pub const OVERHEAD_STANDARD_BYTES: f64 = 8.0 * 1_024.0;
/// Objects below this stay where they are, unless the bucket says otherwise, and are billed as this
/// large in some classes.
pub const SMALL_OBJECT_BYTES: f64 = 128.0 * 1_024.0;

/// Dollars for one class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassPrices {
    /// A GB for a month.
    pub gb_month: f64,
    /// A thousand moves into the class.
    pub moves: f64,
    /// A thousand PUT requests.
    pub puts: f64,
}

/// Dollars for getting data out of an offline class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RestorePrices {
    /// A GB.
    pub gb: f64,
    /// A thousand requests.
    pub requests: f64,
}

/// A price list.
#[derive(Debug, Clone, PartialEq)]
pub struct Prices {
    /// Region it is for.
    pub region: String,
    /// When it was read.
    pub as_of: String,
    classes: [ClassPrices; Class::ALL.len()],
}

impl Default for Prices {
    fn default() -> Prices {
        let class = |gb_month, moves, puts| ClassPrices { gb_month, moves, puts };
        Prices {
            region: REGION.to_owned(),
            as_of: AS_OF.to_owned(),
            // In the order of `Class::ALL`.
            classes: [
                class(0.023, 0.0, 0.005),
                class(0.0125, 0.01, 0.01),
                class(0.023, 0.01, 0.005),
                class(0.01, 0.01, 0.01),
                class(0.004, 0.02, 0.02),
                class(0.0036, 0.03, 0.03),
                class(0.00099, 0.05, 0.05),
            ],
        }
    }
}

/// What a policy may say about prices. A figure left out keeps its list price.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawPrices {
    region: Option<String>,
    as_of: Option<String>,
    #[serde(default)]
    gb_month: std::collections::BTreeMap<Class, f64>,
    #[serde(default)]
    moves_per_thousand: std::collections::BTreeMap<Class, f64>,
    #[serde(default)]
    puts_per_thousand: std::collections::BTreeMap<Class, f64>,
}

/// One figure of a class.
type Field = fn(&mut ClassPrices) -> &mut f64;

impl Prices {
    /// The list with what a policy says laid over it.
    ///
    /// # Errors
    /// With the figure that is no price.
    pub fn overridden(raw: RawPrices) -> Result<Prices, String> {
        let mut prices = Prices::default();
        prices.region = raw.region.unwrap_or(prices.region);
        prices.as_of = raw.as_of.unwrap_or(prices.as_of);
        let tables: [(_, Field); 3] = [
            (raw.gb_month, |class| &mut class.gb_month),
            (raw.moves_per_thousand, |class| &mut class.moves),
            (raw.puts_per_thousand, |class| &mut class.puts),
        ];
        for (figures, field) in tables {
            for (class, dollars) in figures {
                if !(dollars.is_finite() && dollars >= 0.0) {
                    return Err(format!("the price {dollars} of {class} is no amount of dollars"));
                }
                *field(&mut prices.classes[class as usize]) = dollars;
            }
        }
        Ok(prices)
    }

    /// The prices of a class.
    pub fn of(&self, class: Class) -> ClassPrices {
        self.classes[class as usize]
    }
}

/// What a restore costs by class and tier; `None` where S3 has no such tier.
pub fn restore_prices(class: Class, tier: crate::restore::Tier) -> Option<RestorePrices> {
    use crate::restore::Tier;
    let prices = |gb, requests| Some(RestorePrices { gb, requests });
    match (class, tier) {
        (Class::Glacier, Tier::Expedited) => prices(0.03, 10.0),
        (Class::Glacier, Tier::Standard) => prices(0.01, 0.05),
        (Class::Glacier, Tier::Bulk) => prices(0.0, 0.0),
        (Class::DeepArchive, Tier::Standard) => prices(0.02, 0.10),
        (Class::DeepArchive, Tier::Bulk) => prices(0.0025, 0.025),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_overrides_single_figures() {
        let raw: RawPrices =
            toml::from_str("region = \"eu-central-1\"\n[gb_month]\nSTANDARD = 0.0245\n").expect("parses");
        let prices = Prices::overridden(raw).expect("valid");
        assert_eq!((prices.region.as_str(), prices.of(Class::Standard).gb_month), ("eu-central-1", 0.0245));
        assert_eq!(prices.of(Class::DeepArchive), Prices::default().of(Class::DeepArchive));
        let raw: RawPrices = toml::from_str("[gb_month]\nGLACIER = -1.0\n").expect("parses");
        assert!(Prices::overridden(raw).expect_err("refused").contains("GLACIER"));
        assert!(toml::from_str::<RawPrices>("[gb_month]\nWARM = 1.0\n").is_err());
    }
}
