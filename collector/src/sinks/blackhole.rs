//! Sink `blackhole`: records end here. For trying out sources and transforms, and for measuring.

use super::{Context, Delivered, Delivery, SetupError, Sink, SinkConfig};
use crate::config::component::{Row, Settings};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// Settings of a `blackhole` sink: there are none.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlackholeSettings {}

impl Settings for BlackholeSettings {
    const KIND: &'static str = "blackhole";
    const ABOUT: &'static str =
        "Records end here: for trying out sources and transforms. They are counted as delivered.";

    fn options() -> Vec<Row> {
        Vec::new()
    }
}

#[async_trait]
impl SinkConfig for BlackholeSettings {
    async fn connect(&self, _name: &str) -> Result<Box<dyn Sink>, SetupError> {
        Ok(Box::new(Blackhole))
    }
}

#[derive(Debug)]
struct Blackhole;

#[async_trait]
impl Sink for Blackhole {
    async fn deliver(&self, delivery: &Delivery, _cx: &Context) -> Delivered {
        Delivered { records: delivery.records(), ..Delivered::default() }
    }
}
