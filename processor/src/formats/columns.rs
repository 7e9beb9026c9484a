//! Rows on their way into Arrow columns.
//!
//! [`Rows`] is driven by a [`Table`]: one builder per column, in the table's order. A column that a
//! row does not set costs nothing at that moment; the gap is filled with nulls when the column is
//! next set or the batch is finished. Columns that are the same for a whole object (source, object,
//! ingest time, parser version) and the partition column are written once per batch.

use super::time::DAY;
use super::{Context, Object, Output};
use arrow::array::{
    Array, ArrayBuilder, ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Float64Builder,
    Int32Builder, Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder, new_null_array,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use logq_schemas::{Column, Kind, Table, tables};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

/// Most text bytes in one batch: far below the 2 GiB that 32-bit offsets of a column can address,
/// and the reason memory stays bounded when records are large.
const BATCH_BYTES_MAX: usize = 64 << 20;

/// The Arrow schema of a table. Made once for each table of the lake: every object asks for it.
pub fn arrow_schema(table: &Table) -> SchemaRef {
    static KNOWN: LazyLock<Vec<SchemaRef>> =
        LazyLock::new(|| tables::ALL.iter().map(|table| new_schema(table)).collect());
    let is_same = |known: &&Table| {
        (known.name, known.core.len(), known.own.len()) == (table.name, table.core.len(), table.own.len())
    };
    let known = tables::ALL.iter().position(is_same);
    known.map_or_else(|| new_schema(table), |known| KNOWN[known].clone())
}

fn new_schema(table: &Table) -> SchemaRef {
    let fields: Vec<Field> = table
        .columns()
        .map(|column| Field::new(column.name, data_type(column.kind), column.nullable))
        .collect();
    Arc::new(Schema::new(fields))
}

fn data_type(kind: Kind) -> DataType {
    match kind {
        Kind::Text | Kind::Json => DataType::Utf8,
        Kind::Binary => DataType::Binary,
        Kind::Int => DataType::Int32,
        Kind::Long => DataType::Int64,
        Kind::Double => DataType::Float64,
        Kind::Bool => DataType::Boolean,
        Kind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Kind::Date => DataType::Date32,
    }
}

/// Position of a column in its table; a name that does not exist fails the build when used in a
/// constant.
pub const fn index(table: &Table, name: &str) -> usize {
    let in_core = position(table.core, name);
    if in_core < table.core.len() {
        return in_core;
    }
    let in_own = position(table.own, name);
    assert!(in_own < table.own.len(), "no such column");
    in_core + in_own
}

const fn position(columns: &[Column], name: &str) -> usize {
    let mut at = 0;
    while at < columns.len() {
        if same(columns[at].name.as_bytes(), name.as_bytes()) {
            return at;
        }
        at += 1;
    }
    at
}

const fn same(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let mut at = 0;
    while at < left.len() {
        if left[at] != right[at] {
            return false;
        }
        at += 1;
    }
    true
}

enum Builder {
    Text(StringBuilder),
    Binary(BinaryBuilder),
    Int(Int32Builder),
    Long(Int64Builder),
    Double(Float64Builder),
    Bool(BooleanBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    Date(Date32Builder),
}

impl Builder {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Text | Kind::Json => Self::Text(StringBuilder::with_capacity(0, 0)),
            Kind::Binary => Self::Binary(BinaryBuilder::with_capacity(0, 0)),
            Kind::Int => Self::Int(Int32Builder::with_capacity(0)),
            Kind::Long => Self::Long(Int64Builder::with_capacity(0)),
            Kind::Double => Self::Double(Float64Builder::with_capacity(0)),
            Kind::Bool => Self::Bool(BooleanBuilder::with_capacity(0)),
            Kind::Timestamp => {
                Self::Timestamp(TimestampMicrosecondBuilder::with_capacity(0).with_timezone("UTC"))
            }
            Kind::Date => Self::Date(Date32Builder::with_capacity(0)),
        }
    }

    fn nulls(&mut self, count: usize) {
        match self {
            Self::Text(builder) => builder.append_nulls(count),
            Self::Binary(builder) => builder.append_nulls(count),
            Self::Int(builder) => builder.append_nulls(count),
            Self::Long(builder) => builder.append_nulls(count),
            Self::Double(builder) => builder.append_nulls(count),
            Self::Bool(builder) => builder.append_nulls(count),
            Self::Timestamp(builder) => builder.append_nulls(count),
            Self::Date(builder) => builder.append_nulls(count),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            // The next batch is like this one: what it needs is taken at once instead of step by step.
            Self::Text(builder) => {
                let (rows, bytes) = (builder.len(), builder.values_slice().len());
                let next = StringBuilder::with_capacity(rows, bytes + bytes / 8);
                Arc::new(std::mem::replace(builder, next).finish())
            }
            Self::Binary(builder) => Arc::new(builder.finish()),
            Self::Int(builder) => Arc::new(builder.finish()),
            Self::Long(builder) => Arc::new(builder.finish()),
            Self::Double(builder) => Arc::new(builder.finish()),
            Self::Bool(builder) => Arc::new(builder.finish()),
            Self::Timestamp(builder) => Arc::new(builder.finish()),
            Self::Date(builder) => Arc::new(builder.finish()),
        }
    }
}

struct Slot {
    builder: Builder,
    /// Rows the builder holds; fewer than the batch where the last rows did not set the column.
    length: usize,
}

impl Slot {
    /// The column's array of `rows` rows. A column that no row has set is the same array in every
    /// batch, so that the many empty columns of a wide table cost neither time nor memory.
    fn finish(&mut self, rows: usize, empty: &mut HashMap<DataType, ArrayRef>, kind: Kind) -> ArrayRef {
        if self.length == 0 {
            let data_type = data_type(kind);
            let shared =
                empty.entry(data_type).or_insert_with_key(|data_type| new_null_array(data_type, rows));
            if shared.len() < rows {
                *shared = new_null_array(shared.data_type(), rows);
            }
            return shared.slice(0, rows);
        }
        if self.length < rows {
            self.builder.nulls(rows - self.length);
        }
        self.length = 0;
        self.builder.finish()
    }
}

/// What every row of one object shares.
struct Shared {
    source: &'static str,
    object_id: String,
    ingest_time: i64,
    parser_version: i32,
}

/// The core columns this module fills by itself, by position in the table.
struct Core {
    event_time: usize,
    event_date: usize,
    ingest_time: usize,
    source: usize,
    object_id: usize,
    parser_version: usize,
}

/// Rows of one table, collected until a batch is full.
pub struct Rows {
    table: &'static Table,
    schema: SchemaRef,
    slots: Vec<Slot>,
    /// Columns without a value, by type.
    empty: HashMap<DataType, ArrayRef>,
    core: Core,
    shared: Shared,
    dates: Vec<i32>,
    rows: usize,
    text_bytes: usize,
    batch_rows: usize,
}

impl Rows {
    /// For an event table; `source` is the value of its column.
    pub fn new(
        table: &'static Table,
        source: &'static str,
        parser_version: i32,
        object: &Object<'_>,
        context: &Context<'_>,
    ) -> Self {
        Self {
            table,
            schema: arrow_schema(table),
            slots: table
                .columns()
                .map(|column| Slot { builder: Builder::new(column.kind), length: 0 })
                .collect(),
            empty: HashMap::new(),
            core: Core {
                event_time: index(table, "event_time"),
                event_date: index(table, "event_date"),
                ingest_time: index(table, "ingest_time"),
                source: index(table, "source"),
                object_id: index(table, "object_id"),
                parser_version: index(table, "parser_version"),
            },
            shared: Shared {
                source,
                object_id: object.object_id.to_owned(),
                ingest_time: context.ingest_time,
                parser_version,
            },
            dates: Vec::new(),
            rows: 0,
            text_bytes: 0,
            batch_rows: context.limits.batch_rows.max(1),
        }
    }

    fn slot(&mut self, column: usize) -> &mut Builder {
        let rows = self.rows;
        let slot = &mut self.slots[column];
        if slot.length < rows {
            slot.builder.nulls(rows - slot.length);
        }
        slot.length = rows + 1;
        &mut slot.builder
    }

    /// Sets a text or JSON column of the current row.
    pub fn text(&mut self, column: usize, value: &str) {
        self.text_bytes += value.len();
        if let Builder::Text(builder) = self.slot(column) {
            builder.append_value(value);
        }
    }

    /// Sets a text column when there is a value.
    pub fn text_if(&mut self, column: usize, value: Option<&str>) {
        if let Some(value) = value {
            self.text(column, value);
        }
    }

    /// Sets a binary column of the current row.
    pub fn binary(&mut self, column: usize, value: &[u8]) {
        self.text_bytes += value.len();
        if let Builder::Binary(builder) = self.slot(column) {
            builder.append_value(value);
        }
    }

    /// Sets a 32-bit integer column of the current row.
    pub fn int(&mut self, column: usize, value: i32) {
        if let Builder::Int(builder) = self.slot(column) {
            builder.append_value(value);
        }
    }

    /// Sets a 64-bit integer column of the current row.
    pub fn long(&mut self, column: usize, value: i64) {
        if let Builder::Long(builder) = self.slot(column) {
            builder.append_value(value);
        }
    }

    /// Sets a floating-point column of the current row.
    pub fn double(&mut self, column: usize, value: f64) {
        if let Builder::Double(builder) = self.slot(column) {
            builder.append_value(value);
        }
    }

    /// Sets a boolean column of the current row.
    pub fn bool(&mut self, column: usize, value: bool) {
        if let Builder::Bool(builder) = self.slot(column) {
            builder.append_value(value);
        }
    }

    /// Sets a timestamp column of the current row, in microseconds.
    pub fn timestamp(&mut self, column: usize, micros: i64) {
        if let Builder::Timestamp(builder) = self.slot(column) {
            builder.append_value(micros);
        }
    }

    /// Ends the current row with its event time.
    pub fn end(&mut self, event_time: i64) {
        self.timestamp(self.core.event_time, event_time);
        self.dates.push(event_time.div_euclid(DAY) as i32);
        self.rows += 1;
    }

    /// Whether the batch is full and must be flushed before the next row.
    pub fn is_full(&self) -> bool {
        self.rows >= self.batch_rows || self.text_bytes >= BATCH_BYTES_MAX
    }

    /// Hands the collected rows to `output`, if there are any.
    pub fn flush(&mut self, output: &mut impl Output) {
        if self.rows == 0 {
            return;
        }
        let rows = self.rows;
        self.fill_shared();
        let columns = self.slots.iter_mut().zip(self.table.columns());
        let arrays = columns.map(|(slot, column)| slot.finish(rows, &mut self.empty, column.kind));
        let arrays: Vec<ArrayRef> = arrays.collect();
        self.rows = 0;
        self.text_bytes = 0;
        let batch = RecordBatch::try_new(self.schema.clone(), arrays)
            .expect("every builder follows its column and required columns are set in each row");
        output.rows(self.table, batch);
    }

    fn fill_shared(&mut self) {
        let rows = self.rows;
        if let Builder::Date(builder) = &mut self.slots[self.core.event_date].builder {
            builder.append_slice(&self.dates);
        }
        self.dates.clear();
        if let Builder::Timestamp(builder) = &mut self.slots[self.core.ingest_time].builder {
            builder.append_value_n(self.shared.ingest_time, rows);
        }
        if let Builder::Int(builder) = &mut self.slots[self.core.parser_version].builder {
            builder.append_value_n(self.shared.parser_version, rows);
        }
        if let Builder::Text(builder) = &mut self.slots[self.core.object_id].builder {
            builder.append_value_n(&self.shared.object_id, rows);
        }
        if let Builder::Text(builder) = &mut self.slots[self.core.source].builder {
            builder.append_value_n(self.shared.source, rows);
        }
        let core = &self.core;
        for column in [core.event_date, core.ingest_time, core.parser_version, core.object_id, core.source] {
            self.slots[column].length = rows;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::Limits;
    use arrow::array::Array;

    struct Collect(Vec<RecordBatch>);

    impl Output for Collect {
        fn rows(&mut self, _: &'static Table, batch: RecordBatch) {
            self.0.push(batch);
        }
        fn rejected(&mut self, _: crate::formats::Rejected) {}
    }

    #[test]
    fn schemas_follow_the_tables() {
        for table in tables::ALL {
            let schema = arrow_schema(table);
            assert_eq!(schema.fields().len(), table.columns().count());
            for (field, column) in schema.fields().iter().zip(table.columns()) {
                assert_eq!((field.name().as_str(), field.is_nullable()), (column.name, column.nullable));
            }
        }
    }

    #[test]
    fn gaps_are_null_and_required_columns_are_filled() {
        const UID: usize = index(&tables::vpc_flow::TABLE, "event_uid");
        const BYTES: usize = index(&tables::vpc_flow::TABLE, "bytes");
        let object = Object { location: "a", object_id: "00ff", bytes: b"" };
        let limits = Limits::default();
        let context = Context { ingest_time: 7, limits: &limits, flow_formats: &[] };
        let mut rows = Rows::new(&tables::vpc_flow::TABLE, "vpc_flow", 1, &object, &context);
        let mut output = Collect(Vec::new());
        for row in 0..5 {
            rows.text(UID, "x");
            if row == 3 {
                rows.long(BYTES, 9);
            }
            rows.end(DAY * row);
        }
        rows.flush(&mut output);
        rows.flush(&mut output);
        assert_eq!(output.0.len(), 1);
        let bytes = output.0[0].column(BYTES);
        assert_eq!((bytes.len(), bytes.null_count(), bytes.is_valid(3)), (5, 4, true));
        let date = output.0[0].column_by_name("event_date").unwrap();
        assert_eq!(date.as_any().downcast_ref::<arrow::array::Date32Array>().unwrap().value(4), 4);
    }
}
