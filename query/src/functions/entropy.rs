//! `entropy(text)`: how random a text looks.

use super::{map_text, only};
use arrow::array::Float64Array;
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Entropy {
    signature: Signature,
}

impl Default for Entropy {
    fn default() -> Self {
        Entropy { signature: Signature::string(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Entropy {
    fn name(&self) -> &str {
        "entropy"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let argument = only(&arguments.args, self.name())?;
        map_text::<Float64Array>(&argument, |text| text.map(shannon))
    }
}

/// Shannon entropy of the bytes, in bits per byte: 0 for one repeated byte, at most 8.
fn shannon(text: &str) -> f64 {
    if text.is_empty() {
        return 0.0;
    }
    let mut counts = [0_u32; 256];
    for byte in text.bytes() {
        counts[usize::from(byte)] += 1;
    }
    let length = text.len() as f64;
    let bits = counts.iter().filter(|count| **count > 0).map(|count| {
        let share = f64::from(*count) / length;
        share * share.log2()
    });
    // One byte alone sums to zero, which must not come out as minus zero.
    0.0 - bits.sum::<f64>()
}

#[cfg(test)]
mod tests {
    use crate::functions::tests::column;

    #[tokio::test]
    async fn random_names_stand_out_from_words() {
        let rows = "(values ('aaaa'), ('abab'), ('abcdefgh'), (''), (null)) as t(name)";
        assert_eq!(
            column(&format!("select entropy(name) from {rows}")).await.unwrap(),
            ["0.0", "1.0", "3.0", "0.0", "NULL"]
        );
        let found = column("select entropy('q8zr7v1kx0m2') > 3.4 and entropy('production') < 3.2").await;
        assert_eq!(found.unwrap(), ["true"]);
    }
}
