//! Functions over the inventory of a session: `in_list`, `ip_in`, `zone`, `geo`, `asn`, `as_name`.

use super::address_set::AddressSet;
use super::cidr::address;
use super::geography::Place;
use super::inventory::Inventory;
use super::{map_text, text_column};
use arrow::array::{BooleanArray, Int64Array, StringViewArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Which function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Question {
    InList,
    IpIn,
    Zone,
    Geo,
    Asn,
    AsName,
}

/// One function over the inventory.
#[derive(Debug)]
pub struct Known {
    question: Question,
    inventory: Arc<Inventory>,
    signature: Signature,
}

/// Two functions over the same inventory are the same function.
impl PartialEq for Known {
    fn eq(&self, other: &Self) -> bool {
        self.question == other.question && Arc::ptr_eq(&self.inventory, &other.inventory)
    }
}

impl Eq for Known {}

impl Hash for Known {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.question.hash(state);
        Arc::as_ptr(&self.inventory).hash(state);
    }
}

impl Known {
    /// Every function over `inventory`.
    pub fn all(inventory: &Arc<Inventory>) -> [Known; 6] {
        [Question::InList, Question::IpIn, Question::Zone, Question::Geo, Question::Asn, Question::AsName]
            .map(|question| Known {
                question,
                inventory: Arc::clone(inventory),
                signature: Signature::user_defined(Volatility::Immutable),
            })
    }

    /// How many arguments a call has.
    fn arguments(&self) -> std::ops::RangeInclusive<usize> {
        match self.question {
            Question::InList | Question::IpIn => 2..=2,
            Question::Zone | Question::Geo => 1..=2,
            Question::Asn | Question::AsName => 1..=1,
        }
    }

    /// The addresses a call with the constant `name` looks in; `None` for other functions.
    pub fn addresses(&self, name: &str) -> Option<&AddressSet> {
        match self.question {
            Question::InList => self.inventory.list(name).ok(),
            Question::IpIn => self.inventory.set(name).ok(),
            _ => None,
        }
    }

    /// What is wrong with a call, as far as planning can tell.
    fn refusal(&self, constant: Option<&str>, has_second: bool) -> Option<String> {
        let name = self.name();
        match self.question {
            Question::InList | Question::IpIn => match constant {
                None => Some(format!("{name} takes an address and a constant name, e.g. {name}(src_ip, 'tor')")),
                Some(text) if self.question == Question::InList => self.inventory.list(text).err(),
                Some(text) => self.inventory.set(text).err(),
            },
            Question::Zone if !self.inventory.has_zones() => Some(
                "zone() needs declared zones: give a network intent with --zones FILE (see logq detect --intent)"
                    .to_owned(),
            ),
            Question::Geo | Question::Asn | Question::AsName if self.inventory.geography.is_empty() => {
                Some(format!("{name}() needs a MaxMind database: give one with --geoip FILE"))
            }
            Question::Geo if has_second && constant.and_then(place).is_none() => {
                let known: Vec<&str> = Place::ALL.iter().map(|(name, _)| *name).collect();
                Some(format!("geo takes an address and one of '{}'", known.join("', '")))
            }
            _ => None,
        }
    }

    fn set(&self, arguments: &ScalarFunctionArgs) -> Result<&AddressSet> {
        let name = constant(arguments.args.get(1));
        let found = match (self.question, name) {
            (Question::InList, Some(name)) => self.inventory.list(name),
            (_, Some(name)) => self.inventory.set(name),
            (_, None) => Err(format!("{} takes a constant name", self.name())),
        };
        found.map_err(DataFusionError::Plan)
    }

    fn zone(&self, arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [addresses, rest @ ..] = arguments.args.as_slice() else {
            return Err(DataFusionError::Plan("zone takes an address, and an account".to_owned()));
        };
        let Some(accounts) = rest.first() else {
            return map_text::<StringViewArray>(addresses, |text| self.inventory.zone(address(text?)?, None));
        };
        let addresses = text_column(&addresses.to_array(arguments.number_rows)?)?;
        let accounts = text_column(&accounts.to_array(arguments.number_rows)?)?;
        let zones: StringViewArray = addresses
            .iter()
            .zip(accounts.iter())
            .map(|(text, account)| self.inventory.zone(address(text?)?, account))
            .collect();
        Ok(ColumnarValue::Array(Arc::new(zones)))
    }
}

fn place(name: &str) -> Option<Place> {
    Place::ALL.iter().find(|(known, _)| *known == name).map(|(_, place)| *place)
}

fn constant(argument: Option<&ColumnarValue>) -> Option<&str> {
    match argument? {
        ColumnarValue::Scalar(value) => value.try_as_str().flatten(),
        ColumnarValue::Array(_) => None,
    }
}

impl ScalarUDFImpl for Known {
    fn name(&self) -> &str {
        match self.question {
            Question::InList => "in_list",
            Question::IpIn => "ip_in",
            Question::Zone => "zone",
            Question::Geo => "geo",
            Question::Asn => "asn",
            Question::AsName => "as_name",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Texts of any kind stay what they are: a constant wrapped into a cast would no longer be known
    /// as one while planning.
    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        if !self.arguments().contains(&types.len()) {
            return Err(DataFusionError::Plan(format!("{} takes {:?} texts", self.name(), self.arguments())));
        }
        types
            .iter()
            .map(|kind| match kind {
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Ok(kind.clone()),
                DataType::Null | DataType::Dictionary(..) => Ok(DataType::Utf8View),
                other => Err(DataFusionError::Plan(format!("{} takes texts, not {other}", self.name()))),
            })
            .collect()
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.question {
            Question::InList | Question::IpIn => DataType::Boolean,
            Question::Zone | Question::Geo | Question::AsName => DataType::Utf8View,
            Question::Asn => DataType::Int64,
        })
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> Result<FieldRef> {
        let constant = arguments.scalar_arguments.get(1).copied().flatten();
        let constant = constant.and_then(|value| value.try_as_str().flatten());
        match self.refusal(constant, arguments.arg_fields.len() > 1) {
            Some(refusal) => Err(DataFusionError::Plan(refusal)),
            None => Ok(Arc::new(Field::new(self.name(), self.return_type(&[])?, true))),
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let first = arguments
            .args
            .first()
            .ok_or_else(|| DataFusionError::Plan(format!("{} takes an address", self.name())))?;
        let geography = &self.inventory.geography;
        match self.question {
            Question::InList | Question::IpIn => {
                let set = self.set(&arguments)?;
                map_text::<BooleanArray>(first, |text| Some(set.contains(address(text?)?)))
            }
            Question::Zone => self.zone(&arguments),
            Question::Geo => {
                let wanted = constant(arguments.args.get(1)).and_then(place).unwrap_or(Place::Country);
                map_text::<StringViewArray>(first, |text| geography.place(address(text?)?, wanted))
            }
            Question::Asn => map_text::<Int64Array>(first, |text| geography.system_number(address(text?)?)),
            Question::AsName => {
                map_text::<StringViewArray>(first, |text| geography.system_name(address(text?)?))
            }
        }
    }
}

#[cfg(test)]
mod tests;
