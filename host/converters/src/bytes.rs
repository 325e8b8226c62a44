//! `org.apache.kafka.connect.converters.ByteArrayConverter`: bytes as they are, and nothing else.

use crate::text::Plain;
use weir_model::{Converter, Kind, Layout, Node, Part, compile, logical};

#[derive(Clone, Copy, Debug, Default)]
pub struct ByteArray;

// === impl ByteArray ===

impl Converter for ByteArray {
    fn compile(&self, root: &Node, layout: &Layout) -> Result<Option<Box<dyn Part>>, String> {
        match root.ty.kind {
            _ if root.is_nothing() => Ok(None),
            // of values without a schema only bytes come here, or the sink could not tell them from text
            Kind::Any => compile(&Plain, root, layout, false),
            Kind::Bytes if !root.ty.is(logical::DECIMAL) => compile(&Plain, root, layout, false),
            kind => {
                let name = kind.json_name().to_uppercase();
                Err(format!("Invalid schema type for ByteArrayConverter: {name}"))
            }
        }
    }
}
