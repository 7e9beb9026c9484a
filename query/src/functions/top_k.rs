//! `approx_top_k(value, k)`: the most frequent values of a group, in bounded memory.
//!
//! The Space-Saving algorithm of Metwally, Agrawal and El Abbadi (2005): a fixed number of counters;
//! a value without one takes over the smallest, and its count. Counts are never too low; they are
//! exact while a group has no more distinct values than counters, and too high by at most rows divided
//! by counters otherwise. Sketches of parts of the data merge into one of the whole.

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, Int64Builder, ListArray, StringBuilder, StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Int64Type};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Signature, Volatility};
use datafusion::physical_expr::expressions::Literal;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Counters for each value asked for: the error is at most a hundredth of what an even share of the
/// k-th value would be on data of the usual skew.
const COUNTERS_PER_VALUE: usize = 100;

/// Counters at least, so that columns such as ports and user agents are counted exactly.
const COUNTERS_MIN: usize = 2_000;

/// Most values a query may ask for: the counters of one group stay near 10 MB.
const VALUES_MAX: i64 = 1_000;

const USAGE: &str =
    "approx_top_k takes a value and a constant number from 1 to 1000, e.g. approx_top_k(src_ip, 10)";

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ApproxTopK {
    signature: Signature,
}

impl Default for ApproxTopK {
    fn default() -> Self {
        ApproxTopK { signature: Signature::any(2, Volatility::Immutable) }
    }
}

fn fields() -> Fields {
    Fields::from(vec![Field::new("value", DataType::Utf8, true), Field::new("count", DataType::Int64, true)])
}

fn item() -> FieldRef {
    Arc::new(Field::new_list_field(DataType::Struct(fields()), true))
}

impl AggregateUDFImpl for ApproxTopK {
    fn name(&self) -> &str {
        "approx_top_k"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(item()))
    }

    fn state_fields(&self, arguments: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format!("{}[sketch]", arguments.name), DataType::List(item()), true))])
    }

    fn accumulator(&self, arguments: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let number = arguments.exprs.get(1).and_then(|expr| expr.downcast_ref::<Literal>());
        let number = number.and_then(|number| match number.value().cast_to(&DataType::Int64) {
            Ok(ScalarValue::Int64(number)) => number,
            _ => None,
        });
        match number.filter(|number| (1..=VALUES_MAX).contains(number)) {
            Some(number) if !arguments.is_distinct => Ok(Box::new(Sketch::new(number as usize))),
            _ => Err(DataFusionError::Plan(USAGE.to_owned())),
        }
    }
}

/// Counters of one group.
#[derive(Debug)]
struct Sketch {
    wanted: usize,
    counters: usize,
    counts: HashMap<Arc<str>, i64>,
    /// The same by count, so that the smallest is found at once; kept from the moment all counters
    /// are in use.
    ordered: Option<BTreeSet<(i64, Arc<str>)>>,
    text_bytes: usize,
}

impl Sketch {
    fn new(wanted: usize) -> Self {
        Sketch {
            wanted,
            counters: (wanted * COUNTERS_PER_VALUE).max(COUNTERS_MIN),
            counts: HashMap::new(),
            ordered: None,
            text_bytes: 0,
        }
    }

    fn add(&mut self, value: &str, times: i64) {
        if let Some((known, count)) = self.counts.get_key_value(value) {
            let (known, before) = (Arc::clone(known), *count);
            if let Some(ordered) = &mut self.ordered {
                ordered.remove(&(before, Arc::clone(&known)));
                ordered.insert((before + times, Arc::clone(&known)));
            }
            self.counts.insert(known, before + times);
            return;
        }
        let value: Arc<str> = value.into();
        self.text_bytes += value.len();
        if self.counts.len() < self.counters {
            self.counts.insert(value, times);
            return;
        }
        let counts = &self.counts;
        let ordered = self
            .ordered
            .get_or_insert_with(|| counts.iter().map(|(value, count)| (*count, Arc::clone(value))).collect());
        let Some((least, replaced)) = ordered.pop_first() else { return };
        ordered.insert((least + times, Arc::clone(&value)));
        self.text_bytes = self.text_bytes.saturating_sub(replaced.len());
        self.counts.remove(&replaced);
        self.counts.insert(value, least + times);
    }

    /// Values by count, then by text so that the answer is the same on every run.
    fn sorted(&self) -> Vec<(&str, i64)> {
        let mut all: Vec<(&str, i64)> = self.counts.iter().map(|(value, count)| (&**value, *count)).collect();
        all.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        all
    }
}

fn list(rows: &[(&str, i64)]) -> Result<ScalarValue> {
    let (mut values, mut counts) = (StringBuilder::new(), Int64Builder::new());
    for (value, count) in rows {
        values.append_value(value);
        counts.append_value(*count);
    }
    let columns: Vec<ArrayRef> = vec![Arc::new(values.finish()), Arc::new(counts.finish())];
    let rows = StructArray::try_new(fields(), columns, None)?;
    let offsets = OffsetBuffer::from_lengths([rows.len()]);
    Ok(ScalarValue::List(Arc::new(ListArray::try_new(item(), offsets, Arc::new(rows), None)?)))
}

impl Accumulator for Sketch {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(values) = values.first() else { return Ok(()) };
        let texts = cast(values, &DataType::Utf8View)?;
        for text in texts.as_string_view().iter().flatten() {
            self.add(text, 1);
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut rows = self.sorted();
        rows.truncate(self.wanted);
        list(&rows)
    }

    fn size(&self) -> usize {
        // A key and a count in the map, and the same again once they are ordered.
        let entry = size_of::<(Arc<str>, i64)>() + 16;
        let orders = 1 + usize::from(self.ordered.is_some());
        size_of_val(self) + self.counts.capacity() * entry * orders + self.text_bytes
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![list(&self.sorted())?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let Some(states) = states.first() else { return Ok(()) };
        let Some(states) = states.as_list_opt::<i32>() else {
            return Err(DataFusionError::Internal("approx_top_k: a state of another type".to_owned()));
        };
        for state in states.iter().flatten() {
            let rows = state.as_struct();
            let values = cast(rows.column(0), &DataType::Utf8View)?;
            let counts: &Int64Array = rows.column(1).as_primitive::<Int64Type>();
            for (value, count) in values.as_string_view().iter().zip(counts.iter()) {
                if let (Some(value), Some(count)) = (value, count) {
                    self.add(value, count);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::tests::column;

    #[tokio::test]
    async fn few_values_are_counted_exactly_per_group() {
        let rows = "(values (1,'a'), (1,'b'), (1,'a'), (2,null), (2,'c'), (1,'c'), (3,null)) as t(g, v)";
        assert_eq!(
            column(&format!("select approx_top_k(v, 2) from {rows} group by g order by g")).await.unwrap(),
            ["[{value: a, count: 2}, {value: b, count: 1}]", "[{value: c, count: 1}]", "[]"]
        );
        assert_eq!(
            column("select approx_top_k(v, 1) from (values (443), (22), (443)) as t(v)").await.unwrap(),
            ["[{value: 443, count: 2}]"]
        );
        assert_eq!(column("select approx_top_k(1, 3) from (select 1 where false)").await.unwrap(), ["[]"]);
    }

    #[tokio::test]
    async fn heavy_values_survive_many_rare_ones() {
        // 100,000 values seen once, and three seen 5,000, 4,000 and 3,000 times, in parallel.
        let sql = "select approx_top_k(v, 3) from (
            select case when n % 100 < 5 then 'x' when n % 100 < 9 then 'y' when n % 100 < 12 then 'z'
                   else 'rare-' || n end as v from (select value as n from range(100000)))";
        let found = column(sql).await.unwrap();
        let order: Vec<&str> = found[0].split("value: ").skip(1).map(|rest| &rest[..1]).collect();
        assert_eq!(order, ["x", "y", "z"], "{found:?}");
    }

    #[test]
    fn counts_are_never_too_low_and_memory_is_bounded() {
        let mut sketch = Sketch::new(1);
        for round in 0..20_000 {
            sketch.add(&format!("rare-{round}"), 1);
            if round % 4 == 0 {
                sketch.add("common", 1);
            }
        }
        assert_eq!(sketch.counts.len(), COUNTERS_MIN);
        let (value, count) = sketch.sorted()[0];
        assert_eq!(value, "common");
        assert!((5_000..=5_000 + 25_000 / COUNTERS_MIN as i64).contains(&count), "{count}");
    }

    #[tokio::test]
    async fn the_number_must_be_a_sane_constant() {
        for sql in [
            "select approx_top_k(v, 0) from (values (1)) as t(v)",
            "select approx_top_k(v, 5000) from (values (1)) as t(v)",
            "select approx_top_k(v, v) from (values (1)) as t(v)",
        ] {
            assert!(column(sql).await.unwrap_err().to_string().contains("1 to 1000"), "{sql}");
        }
    }
}
