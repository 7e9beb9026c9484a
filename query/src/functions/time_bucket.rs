//! `time_bucket('5m', event_time)`: the start of the interval a time lies in.

use crate::session::time_range::span;
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::error::{DataFusionError, Result};
use datafusion::functions::datetime::date_bin;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility, lit,
};
use datafusion::scalar::ScalarValue;

const USAGE: &str = "time_bucket takes a constant span and a time, e.g. time_bucket('5m', event_time)";

/// The function: the engine's `date_bin` with the spans of `--since`, counted from 1970.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct TimeBucket {
    signature: Signature,
}

impl Default for TimeBucket {
    fn default() -> Self {
        TimeBucket { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for TimeBucket {
    fn name(&self) -> &str {
        "time_bucket"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// A time without a unit, e.g. a text, is read in the unit of the lake.
    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [_, time] = types else { return Err(DataFusionError::Plan(USAGE.to_owned())) };
        let time = match time {
            DataType::Timestamp(..) => time.clone(),
            _ => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        };
        Ok(vec![DataType::Utf8, time])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        types.get(1).cloned().ok_or_else(|| DataFusionError::Plan(USAGE.to_owned()))
    }

    fn simplify(&self, mut args: Vec<Expr>, _: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let (Some(time), Some(Expr::Literal(text, _)), true) = (args.pop(), args.pop(), args.is_empty())
        else {
            return Err(DataFusionError::Plan(USAGE.to_owned()));
        };
        let text = text.try_as_str().flatten().unwrap_or_default();
        let nanoseconds = span(text).and_then(|span| span.num_nanoseconds()).filter(|span| *span > 0);
        let Some(nanoseconds) = nanoseconds else {
            return Err(DataFusionError::Plan(format!(
                "time_bucket cannot read '{text}': write a span such as 5m, 1h or 1d"
            )));
        };
        let stride = lit(ScalarValue::new_interval_mdn(0, 0, nanoseconds));
        Ok(ExprSimplifyResult::Simplified(date_bin().call(vec![stride, time])))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Err(DataFusionError::Plan(USAGE.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use crate::functions::tests::column;

    #[tokio::test]
    async fn times_fall_into_the_interval_they_lie_in() {
        for (span, expected) in [
            ("5m", "2026-11-22T10:05:00Z"),
            ("1h", "2026-11-22T10:00:00Z"),
            ("6h", "2026-11-22T06:00:00Z"),
            ("1d", "2026-11-22T00:00:00Z"),
            ("90s", "2026-11-22T10:06:00Z"),
        ] {
            let time = "arrow_cast('2026-11-22T10:07:29.5Z', 'Timestamp(Microsecond, Some(\"UTC\"))')";
            assert_eq!(
                column(&format!("select time_bucket('{span}', {time})")).await.unwrap(),
                [expected],
                "{span}"
            );
        }
        let found =
            column("select time_bucket('1h', t) from (values ('2026-11-22T10:07:29Z'), (null)) as x(t)");
        assert_eq!(found.await.unwrap(), ["2026-11-22T10:00:00Z", "NULL"]);
    }

    #[tokio::test]
    async fn spans_that_cannot_be_read_say_what_to_write() {
        for sql in [
            "select time_bucket('month', now())",
            "select time_bucket('0s', now())",
            "select time_bucket(now())",
        ] {
            let error = column(sql).await.unwrap_err().to_string();
            assert!(error.contains("5m"), "{sql}: {error}");
        }
    }
}
