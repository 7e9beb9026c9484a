//! The tables of one lake by name, each opened when first named and kept for the session.

use super::empty::EmptyTable;
use super::notices::Notices;
use super::provider::LakeTable;
use super::{events, raw_files, snapshot};
use crate::session::{Lake, QueryError, SCHEMA, nearest};
use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::TableType;
use logq_schemas::tables;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::OnceCell;

type Opened = Arc<OnceCell<Option<Arc<LakeTable>>>>;

/// The tables of one lake.
///
/// Any directory of the lake with a table log can be queried by its name; the tables of
/// [`logq_schemas`] always can, as empty ones when nothing has been written to them yet.
pub struct LakeTables {
    lake: Lake,
    notices: Notices,
    runtime: Arc<RuntimeEnv>,
    opened: Mutex<HashMap<String, Opened>>,
    registered: Mutex<HashMap<String, Arc<dyn TableProvider>>>,
}

impl fmt::Debug for LakeTables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LakeTables").field("lake", &self.lake).finish_non_exhaustive()
    }
}

impl LakeTables {
    /// The tables of `lake`. Opens none.
    pub fn new(lake: Lake, notices: Notices, runtime: Arc<RuntimeEnv>) -> Self {
        LakeTables { lake, notices, runtime, opened: Mutex::default(), registered: Mutex::default() }
    }

    /// The table `name` as the lake holds it at first use; `None` when the lake has none.
    ///
    /// # Errors
    /// [`QueryError`] when there is no lake, or the lake or the table's log cannot be read.
    pub async fn open(&self, name: &str) -> Result<Option<Arc<LakeTable>>, QueryError> {
        if !is_table_name(name) {
            return Ok(None);
        }
        let cell = {
            let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(opened.entry(name.to_owned()).or_default())
        };
        let found = cell
            .get_or_try_init(|| async {
                match snapshot::open(&self.lake, name).await? {
                    Some(snapshot) => LakeTable::new(snapshot, &self.runtime, self.notices.clone())
                        .map(|table| Some(Arc::new(table))),
                    None => Ok::<_, QueryError>(None),
                }
            })
            .await?;
        Ok(found.clone())
    }

    /// The tables of the lake opened so far.
    pub fn opened(&self) -> Vec<Arc<LakeTable>> {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.values().filter_map(|cell| cell.get().cloned().flatten()).collect()
    }

    /// Names of directories of the lake that may be tables: ours first, then others by name.
    ///
    /// # Errors
    /// [`QueryError`] when there is no lake or it cannot be listed.
    pub async fn names_in_lake(&self) -> Result<Vec<String>, QueryError> {
        let mut names: Vec<String> = tables::ALL.iter().map(|table| table.name.to_owned()).collect();
        let mut others = snapshot::directories(&self.lake).await?;
        others.retain(|name| is_table_name(name) && !names.contains(name));
        others.sort();
        names.extend(others);
        Ok(names)
    }

    /// Whether the lake holds a table called `name`, or the session one registered under it.
    ///
    /// # Errors
    /// As [`LakeTables::open`].
    pub async fn exists(&self, name: &str) -> Result<bool, QueryError> {
        if self.registered().contains_key(name) {
            return Ok(true);
        }
        if name == events::NAME {
            return Ok(!self.event_tables().await?.is_empty());
        }
        Ok(self.open(name).await?.is_some())
    }

    /// The event tables the lake holds, in the order of the reference page.
    pub(crate) async fn event_tables(&self) -> Result<Vec<Arc<LakeTable>>, QueryError> {
        let mut found = Vec::new();
        for table in tables::ALL.into_iter().filter(|table| table.is_event_table()) {
            found.extend(self.open(table.name).await?);
        }
        Ok(found)
    }

    /// The lake the tables are in.
    pub fn lake(&self) -> &Lake {
        &self.lake
    }

    /// The error for a name that is no table.
    pub fn unknown(&self, name: &str) -> QueryError {
        let mut known = self.table_names();
        known.dedup();
        let nearest = nearest::nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
        QueryError::UnknownTable { name: name.to_owned(), nearest, known }
    }

    async fn provider(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, QueryError> {
        if let Some(table) = self.registered().get(name) {
            return Ok(Some(Arc::clone(table)));
        }
        if name == events::NAME {
            return events::view(&self.event_tables().await?, &self.notices).map(Some);
        }
        if raw_files::is_file_name(name) {
            return raw_files::open(name, &self.runtime, &self.notices).await.map(Some);
        }
        // A name no table of ours bears is asked of the lake only when there is one, so that a
        // typing error is answered with the nearest name rather than with a missing lake.
        let ours = tables::by_name(name);
        if ours.is_none() && !self.lake.is_present() {
            return Ok(None);
        }
        if let Some(table) = self.open(name).await? {
            return Ok(Some(table));
        }
        Ok(ours.map(|table| Arc::new(EmptyTable::new(table, &self.lake, self.notices.clone())) as _))
    }

    fn registered(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<dyn TableProvider>>> {
        self.registered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Names that are one plain directory below the lake.
fn is_table_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 128
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

#[async_trait]
impl SchemaProvider for LakeTables {
    fn table_names(&self) -> Vec<String> {
        let mut names: Vec<String> = tables::ALL.iter().map(|table| table.name.to_owned()).collect();
        names.push(events::NAME.to_owned());
        let mut registered: Vec<String> = self.registered().keys().cloned().collect();
        registered.sort();
        names.extend(registered);
        names
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        self.provider(name).await.map_err(|error| DataFusionError::External(Box::new(error)))
    }

    async fn table_type(&self, name: &str) -> Result<Option<TableType>> {
        Ok(match name {
            events::NAME => Some(TableType::View),
            _ if self.table_exist(name) => Some(TableType::Base),
            _ => None,
        })
    }

    fn register_table(
        &self,
        name: String,
        table: Arc<dyn TableProvider>,
    ) -> Result<Option<Arc<dyn TableProvider>>> {
        Ok(self.registered().insert(name, table))
    }

    fn deregister_table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        Ok(self.registered().remove(name))
    }

    fn table_exist(&self, name: &str) -> bool {
        name == events::NAME || tables::by_name(name).is_some() || self.registered().contains_key(name)
    }
}

/// The catalog that holds the one schema of a lake.
#[derive(Debug)]
pub struct LakeCatalog {
    tables: Arc<LakeTables>,
}

impl LakeCatalog {
    /// A catalog over `tables`.
    pub fn new(tables: Arc<LakeTables>) -> Self {
        LakeCatalog { tables }
    }
}

impl CatalogProvider for LakeCatalog {
    fn schema_names(&self) -> Vec<String> {
        vec![SCHEMA.to_owned()]
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        (name == SCHEMA).then(|| Arc::clone(&self.tables) as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_name_never_leaves_the_lake() {
        for name in ["cloudtrail", "vpc_flow", "my-table", "t1"] {
            assert!(is_table_name(name), "{name}");
        }
        for name in ["", "..", "a/b", "../state", "a.b", "%2e%2e", "état"] {
            assert!(!is_table_name(name), "{name}");
        }
    }
}
