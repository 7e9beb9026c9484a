//! Parquet and Arrow files: for programs, with types and nulls as they are.

use super::OutputError;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::writer::FileWriter;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::file::properties::WriterProperties;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

/// Rows of a row group: what the engine prunes by when the file is queried again, and what is held
/// in memory while it is written.
const ROW_GROUP_ROWS: usize = 128 << 10;

/// Writes one result as a file of columns.
pub struct Columnar {
    writer: Writer,
    buffer: Buffer,
    rows: usize,
}

enum Writer {
    Parquet(Box<ArrowWriter<Buffer>>),
    Arrow(Box<FileWriter<Buffer>>),
}

impl std::fmt::Debug for Columnar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Columnar").field("rows", &self.rows).finish_non_exhaustive()
    }
}

/// What the writer has finished and the destination has not taken. The writers own their sink, the
/// destination is only lent.
#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Buffer {
    fn drain(&self, to: &mut dyn Write) -> std::io::Result<()> {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        to.write_all(&bytes)
    }
}

impl Columnar {
    /// A Parquet file, compressed with zstd.
    ///
    /// # Errors
    /// When a column has a type Parquet does not know.
    pub fn parquet(schema: &SchemaRef) -> Result<Self, OutputError> {
        let buffer = Buffer::default();
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .build();
        let writer = ArrowWriter::try_new(buffer.clone(), Arc::clone(schema), Some(properties))?;
        Ok(Columnar { writer: Writer::Parquet(Box::new(writer)), buffer, rows: 0 })
    }

    /// An Arrow IPC file.
    ///
    /// # Errors
    /// [`OutputError::Value`]
    pub fn arrow(schema: &SchemaRef) -> Result<Self, OutputError> {
        let buffer = Buffer::default();
        let writer = FileWriter::try_new(buffer.clone(), schema)?;
        Ok(Columnar { writer: Writer::Arrow(Box::new(writer)), buffer, rows: 0 })
    }

    /// Writes one batch.
    ///
    /// # Errors
    /// [`OutputError`]
    pub fn batch(&mut self, batch: &RecordBatch, to: &mut dyn Write) -> Result<(), OutputError> {
        match &mut self.writer {
            Writer::Parquet(writer) => writer.write(batch)?,
            Writer::Arrow(writer) => writer.write(batch)?,
        }
        self.rows += batch.num_rows();
        Ok(self.buffer.drain(to)?)
    }

    /// Writes what is left and the end; the rows written.
    ///
    /// # Errors
    /// [`OutputError`]
    pub fn finish(self, to: &mut dyn Write) -> Result<usize, OutputError> {
        match self.writer {
            Writer::Parquet(writer) => drop(writer.close()?),
            Writer::Arrow(mut writer) => writer.finish()?,
        }
        self.buffer.drain(to)?;
        Ok(self.rows)
    }
}
