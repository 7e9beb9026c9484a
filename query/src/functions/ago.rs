//! `ago('6h')`: a time relative to the start of the query.

use crate::session::time_range::span;
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility, lit,
};
use datafusion::scalar::ScalarValue;

/// The function. Folded to a constant while planning, of the type of the lake's times, so that
/// partitions and files are pruned by it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Ago {
    signature: Signature,
}

impl Default for Ago {
    fn default() -> Self {
        Ago { signature: Signature::string(1, Volatility::Stable) }
    }
}

impl ScalarUDFImpl for Ago {
    fn name(&self) -> &str {
        "ago"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let Some(now) = info.query_execution_start_time() else {
            return Ok(ExprSimplifyResult::Original(args));
        };
        let [Expr::Literal(text, _)] = args.as_slice() else {
            return Err(DataFusionError::Plan("ago takes one constant text, e.g. ago('6h')".to_owned()));
        };
        let Some(text) = text.try_as_str().flatten() else {
            return Err(DataFusionError::Plan("ago takes a text, e.g. ago('6h')".to_owned()));
        };
        let time = span(text).and_then(|span| now.checked_sub_signed(span)).ok_or_else(|| {
            DataFusionError::Plan(format!(
                "ago cannot read '{text}': write a span such as 30m, 24h, 7d or 2w"
            ))
        })?;
        let value = ScalarValue::TimestampMicrosecond(Some(time.timestamp_micros()), Some("UTC".into()));
        Ok(ExprSimplifyResult::Simplified(lit(value)))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Err(DataFusionError::Plan("ago takes one constant text, e.g. ago('6h')".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use crate::functions::tests::column;

    #[tokio::test]
    async fn it_is_a_constant_relative_to_now() {
        let same = column(
            "select date_trunc('minute', ago('90m')) = date_trunc('minute', now() - interval '90 minutes')",
        );
        assert_eq!(same.await.unwrap(), ["true"]);
        assert_eq!(column("select arrow_typeof(ago('1d'))").await.unwrap(), ["Timestamp(µs, \"UTC\")"]);
    }

    #[tokio::test]
    async fn a_span_that_cannot_be_read_says_what_to_write() {
        for sql in
            ["select ago('yesterday')", "select ago('1month')", "select ago(x) from (values ('1h')) as t(x)"]
        {
            let error = column(sql).await.unwrap_err().to_string();
            assert!(error.contains("24h") || error.contains("6h"), "{sql}: {error}");
        }
    }
}
