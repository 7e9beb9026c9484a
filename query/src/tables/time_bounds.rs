//! From conditions on a table's time column to the days whose partitions can hold matching rows.
//!
//! Analysts write `event_time > ago('6h')`; the partition column is `event_date`. Both are the same
//! fact, so the one bounds the other. A condition that is not understood bounds nothing: files are
//! only ever left out when no row of theirs can match.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::logical_expr::expr::{Cast, InList, TryCast};
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Operator};
use datafusion::scalar::ScalarValue;
use std::ops::RangeInclusive;

const DAY_MICROSECONDS: i64 = 86_400_000_000;

/// Smallest and largest time, in microseconds since 1970, a matching row can have; inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeBounds {
    /// Smallest.
    pub first: i64,
    /// Largest.
    pub last: i64,
}

/// Any time.
const ANY: TimeBounds = TimeBounds { first: i64::MIN, last: i64::MAX };

impl TimeBounds {
    /// The UTC days from the first to the last time, as days since 1970.
    pub fn days(&self) -> RangeInclusive<i64> {
        self.first.div_euclid(DAY_MICROSECONDS)..=self.last.div_euclid(DAY_MICROSECONDS)
    }

    fn and(self, other: TimeBounds) -> TimeBounds {
        TimeBounds { first: self.first.max(other.first), last: self.last.min(other.last) }
    }

    fn or(self, other: TimeBounds) -> TimeBounds {
        TimeBounds { first: self.first.min(other.first), last: self.last.max(other.last) }
    }
}

/// Bounds of the column `time` in rows that pass all of `filters`.
pub fn of(filters: &[Expr], time: &str) -> TimeBounds {
    filters.iter().fold(ANY, |bounds, filter| bounds.and(bounds_of(filter, time)))
}

fn bounds_of(expr: &Expr, time: &str) -> TimeBounds {
    match expr {
        Expr::Alias(alias) => bounds_of(&alias.expr, time),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            bounds_of(left, time).and(bounds_of(right, time))
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            bounds_of(left, time).or(bounds_of(right, time))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            if let (Some(width), Some(span)) = (granularity(left, time), span_of(right)) {
                compared(*op, span, width)
            } else if let (Some(width), Some(span)) = (granularity(right, time), span_of(left)) {
                op.swap().map_or(ANY, |op| compared(op, span, width))
            } else {
                ANY
            }
        }
        Expr::Between(Between { expr, negated: false, low, high }) => {
            match (granularity(expr, time), span_of(low), span_of(high)) {
                (Some(width), Some(low), Some(high)) => {
                    compared(Operator::GtEq, low, width).and(compared(Operator::LtEq, high, width))
                }
                _ => ANY,
            }
        }
        Expr::InList(InList { expr, list, negated: false }) => {
            let Some(width) = granularity(expr, time) else { return ANY };
            list.iter()
                .map(|value| span_of(value).map_or(ANY, |span| compared(Operator::Eq, span, width)))
                .reduce(TimeBounds::or)
                .unwrap_or(ANY)
        }
        _ => ANY,
    }
}

/// Bounds of the time column where its value, rounded down to a multiple of `width` microseconds,
/// compares by `op` with a constant that lies within `constant`.
fn compared(op: Operator, constant: TimeBounds, width: i64) -> TimeBounds {
    let last = constant.last.saturating_add(width - 1);
    match op {
        Operator::Eq | Operator::IsNotDistinctFrom => TimeBounds { first: constant.first, last },
        Operator::Gt | Operator::GtEq => TimeBounds { first: constant.first, ..ANY },
        Operator::Lt | Operator::LtEq => TimeBounds { last, ..ANY },
        _ => ANY,
    }
}

/// How coarsely `expr` rounds the time column down, in microseconds; `None` when it is anything but
/// that column, cast or truncated.
fn granularity(expr: &Expr, time: &str) -> Option<i64> {
    match expr {
        Expr::Column(column) => (column.name == time).then_some(1),
        Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => {
            let inner = granularity(expr, time)?;
            match field.data_type() {
                DataType::Timestamp(TimeUnit::Second, _) => Some(inner.max(1_000_000)),
                DataType::Timestamp(TimeUnit::Millisecond, _) => Some(inner.max(1_000)),
                DataType::Timestamp(_, _) => Some(inner),
                DataType::Date32 => Some(inner.max(DAY_MICROSECONDS)),
                _ => None,
            }
        }
        Expr::ScalarFunction(call) if call.name() == "date_trunc" => match call.args.as_slice() {
            [Expr::Literal(unit, _), inner] => {
                Some(truncation(unit.try_as_str()??)?.max(granularity(inner, time)?))
            }
            _ => None,
        },
        _ => None,
    }
}

/// The longest span `date_trunc(unit, …)` takes off, in microseconds.
fn truncation(unit: &str) -> Option<i64> {
    let days = match unit.to_ascii_lowercase().as_str() {
        "microsecond" | "millisecond" | "second" | "minute" | "hour" | "day" => 1,
        "week" => 7,
        "month" => 31,
        "quarter" => 92,
        "year" => 366,
        _ => return None,
    };
    Some(days * DAY_MICROSECONDS)
}

/// A constant time as the interval of microseconds it may stand for.
fn span_of(expr: &Expr) -> Option<TimeBounds> {
    let Expr::Literal(value, _) = expr else { return None };
    let exact = |time: i64| Some(TimeBounds { first: time, last: time });
    match value {
        ScalarValue::TimestampSecond(Some(time), _) => exact(time.checked_mul(1_000_000)?),
        ScalarValue::TimestampMillisecond(Some(time), _) => exact(time.checked_mul(1_000)?),
        ScalarValue::TimestampMicrosecond(Some(time), _) => exact(*time),
        ScalarValue::TimestampNanosecond(Some(time), _) => Some(TimeBounds {
            first: time.div_euclid(1_000),
            last: time.div_euclid(1_000) + i64::from(time.rem_euclid(1_000) != 0),
        }),
        ScalarValue::Date32(Some(day)) => exact(i64::from(*day).checked_mul(DAY_MICROSECONDS)?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::functions::expr_fn::date_trunc;
    use datafusion::logical_expr::{cast, col, lit};

    const DAY: i64 = DAY_MICROSECONDS;

    fn at(day: i64, microseconds: i64) -> Expr {
        lit(ScalarValue::TimestampMicrosecond(Some(day * DAY + microseconds), Some("UTC".into())))
    }

    fn time() -> Expr {
        col("event_time")
    }

    fn days(filter: Expr) -> RangeInclusive<i64> {
        of(&[filter], "event_time").days()
    }

    #[test]
    fn comparisons_of_either_side_bound_the_days() {
        assert_eq!(*days(time().gt_eq(at(20_000, 5))).start(), 20_000);
        assert_eq!(*days(time().lt(at(20_000, 0))).end(), 20_000);
        assert_eq!(*days(at(20_000, 5).lt(time())).start(), 20_000);
        assert_eq!(*days(at(20_000, 5).gt_eq(time())).end(), 20_000);
        assert_eq!(days(time().eq(at(20_000, 5))), 20_000..=20_000);
        assert_eq!(days(time().between(at(20_000, 0), at(20_002, 1))), 20_000..=20_002);
        assert_eq!(days(time().gt(at(3, 0)).and(time().lt(at(5, 1))).and(col("x").eq(lit(1)))), 3..=5);
        assert_eq!(days(time().in_list(vec![at(3, 0), at(9, 0)], false)), 3..=9);
        assert_eq!(*days(time().gt(at(-2, 5))).start(), -2, "before 1970");
    }

    #[test]
    fn casts_and_truncations_keep_their_days() {
        let date = |day: i32| lit(ScalarValue::Date32(Some(day)));
        assert_eq!(days(cast(time(), DataType::Date32).eq(date(7))), 7..=7);
        assert_eq!(*days(cast(time(), DataType::Date32).lt_eq(date(7))).end(), 7);
        let nanoseconds = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
        let constant = lit(ScalarValue::TimestampNanosecond(Some(7 * DAY * 1_000 - 1), None));
        assert_eq!(*days(cast(time(), nanoseconds.clone()).gt(constant.clone())).start(), 6);
        assert_eq!(*days(cast(time(), nanoseconds).lt(constant)).end(), 7, "rounded outwards");
        assert_eq!(*days(date_trunc(lit("month"), time()).lt_eq(at(31, 0))).end(), 61);
        assert_eq!(*days(date_trunc(lit("month"), time()).gt_eq(at(31, 0))).start(), 31);
    }

    #[test]
    fn what_is_not_understood_bounds_nothing() {
        let any = ANY.days();
        for filter in [
            time().not_eq(at(3, 0)),
            col("other").gt(at(3, 0)),
            time().gt(at(3, 0)).or(col("x").eq(lit(1))),
            time().not_between(at(3, 0), at(4, 0)),
            time().in_list(vec![at(3, 0)], true),
            time().gt(col("ingest_time")),
            cast(time(), DataType::Utf8).gt(lit("2026")),
        ] {
            assert_eq!(days(filter.clone()), any, "{filter}");
        }
        assert_eq!(days(time().eq(at(3, 0)).or(time().eq(at(8, 0)))), 3..=8);
    }
}
