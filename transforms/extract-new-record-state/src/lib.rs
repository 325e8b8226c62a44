//! `ExtractNewRecordState`: makes a row of a change event, and of a delete what the user asks for.

mod added;
mod dropped;
mod layout;

use added::Added;
use dropped::Drops;
use layout::Plan;
use std::collections::BTreeMap;
use weir::prelude::*;

/// What a delete becomes, and whether the tombstone after it is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    Drop,
    Tombstone,
    Rewrite,
    RewriteWithTombstone,
    DeleteToTombstone,
}

const MODES: &[(&str, Mode)] = &[
    ("drop", Mode::Drop),
    ("tombstone", Mode::Tombstone),
    ("rewrite-with-tombstone", Mode::RewriteWithTombstone),
    ("rewrite", Mode::Rewrite),
    ("delete-to-tombstone", Mode::DeleteToTombstone),
];

/// Debezium's options of the same names.
#[derive(Options)]
#[options(order = 1, importance = "low", width = "short")]
pub struct ExtractOptions {
    /// Delete and tombstone records can be handled in different ways: drop - both are removed; tombstone - the delete
    /// keeps the schema and loses its value, the tombstone is removed; rewrite - the delete becomes a row with a
    /// "__deleted" field, the tombstone is removed; rewrite-with-tombstone - the same, and the tombstone is kept;
    /// delete-to-tombstone - the delete becomes a tombstone, and the one after it is removed.
    #[option(
        default = "tombstone",
        one_of = ["drop", "tombstone", "rewrite-with-tombstone", "rewrite", "delete-to-tombstone"],
        ignore_case,
        importance = "medium",
        width = "medium",
        label = "Handle delete and tombstone records"
    )]
    delete_tombstone_handling_mode: String,
    /// The column which determines how the events will be routed, the value will replace the topic name.
    #[option(default = "", width = "long", label = "Route by field name")]
    route_by_field: String,
    /// Adds this prefix to each field listed.
    #[option(default = "__", label = "Field prefix to be added to each field.")]
    add_fields_prefix: String,
    /// Adds each field listed. If a struct is given the field is taken from it, as 'source.lsn', and ':' renames it, as 'op:operation'.
    #[option(default = "", width = "long", label = "Adds the specified field(s) to the message if they exist.")]
    add_fields: Vec<String>,
    /// Adds this prefix to each header listed.
    #[option(default = "__", label = "Header prefix to be added to each header.")]
    add_headers_prefix: String,
    /// Adds each field listed to the headers. If a struct is given the field is taken from it, as 'source.lsn', and ':' renames it, as 'op:operation'.
    #[option(default = "", width = "long", label = "Adds the specified fields to the header if they exist.")]
    add_headers: Vec<String>,
    /// A header that contains a list of field names to be removed from the row.
    #[option(label = "Specifies a header that contains a list of field names to be removed")]
    drop_fields_header_name: Option<String>,
    /// Whether the fields are removed from the key, too.
    #[option(
        default = "false",
        label = "Specifies whether the fields to be dropped should also be omitted from the key"
    )]
    drop_fields_from_key: bool,
    /// Whether required fields are kept, so that schemas stay compatible.
    #[option(default = "true", label = "Specifies if fields are dropped, will the event's schemas be compatible")]
    drop_fields_keep_schema_compatible: bool,
    /// Whether the user wrote it.
    #[option(hidden, name = "delete.tombstone.handling.mode")]
    written_mode: Option<String>,
    /// Removed in Debezium 3; understood where the option that replaced it is absent.
    #[option(hidden)]
    drop_tombstones: Option<bool>,
    /// The same.
    #[option(hidden, one_of = ["none", "drop", "rewrite"])]
    delete_handling_mode: Option<String>,
}

pub struct ExtractNewRecordState {
    mode: Mode,
    route_by: Option<String>,
    fields: Vec<Added>,
    headers: Vec<Added>,
    drops: Option<Drops>,
    /// shapes whose rows name the fields to drop
    named: BTreeMap<u32, dropped::Named>,
}

// === impl Mode ===

impl Mode {
    fn named(name: &str) -> Mode {
        let found = MODES.iter().find(|(n, _)| n.eq_ignore_ascii_case(name.trim()));
        found.map_or(Mode::Tombstone, |(_, mode)| *mode)
    }

    fn name(self) -> &'static str {
        MODES.iter().find(|(_, mode)| *mode == self).map_or("", |(name, _)| name)
    }

    fn rewrites(self) -> bool {
        matches!(self, Mode::Rewrite | Mode::RewriteWithTombstone)
    }

    /// The mode that two options of Debezium 2 meant together. Their defaults: true, "drop".
    fn of_old(drop_tombstones: Option<bool>, delete_handling: Option<&str>) -> Mode {
        match (drop_tombstones.unwrap_or(true), delete_handling.unwrap_or("drop")) {
            (true, "rewrite") => Mode::Rewrite,
            (false, "rewrite") => Mode::RewriteWithTombstone,
            (true, "none") => Mode::Tombstone,
            // the tombstones kept, and deletes dropped or null: a tombstone for each delete
            (false, _) => Mode::DeleteToTombstone,
            (true, _) => Mode::Drop,
        }
    }
}

// === impl ExtractNewRecordState ===

impl Transform for ExtractNewRecordState {
    const SUMMARY: &'static str =
        "Takes the row out of a change event: its new state, flat, for sinks that expect rows.";
    type Options = ExtractOptions;

    fn new(options: ExtractOptions) -> Result<Self, Failure> {
        let (old, old_mode) = (options.drop_tombstones, options.delete_handling_mode.as_deref());
        let mode = if options.written_mode.is_none() && (old.is_some() || old_mode.is_some()) {
            let mode = Mode::of_old(old, old_mode);
            weir::log::warn(&format!(
                "drop.tombstones and delete.handling.mode are gone since Debezium 3; taken as delete.tombstone.handling.mode = {}",
                mode.name()
            ));
            mode
        } else {
            Mode::named(&options.delete_tombstone_handling_mode)
        };
        let header = options.drop_fields_header_name.filter(|name| !name.is_empty());
        Ok(ExtractNewRecordState {
            mode,
            route_by: Some(options.route_by_field).filter(|name| !name.trim().is_empty()),
            fields: Added::parse(&options.add_fields, &options.add_fields_prefix)?,
            headers: Added::parse(&options.add_headers, &options.add_headers_prefix)?,
            drops: header.map(|header| Drops {
                header,
                from_key: options.drop_fields_from_key,
                keep_compatible: options.drop_fields_keep_schema_compatible,
            }),
            named: BTreeMap::new(),
        })
    }

    fn bind(&mut self, shape: &Shape) -> Result<Binding, Failure> {
        let Some(value) = shape.root("value") else { return Ok(Binding::pass()) };
        if !shape.is_change_event() {
            return Ok(self.tombstones(value, Binding::pass()));
        }
        let Some(plan) = Plan::new(self, shape) else { return Ok(self.tombstones(value, Binding::pass())) };
        let binding = plan.binding()?;
        let (binding, named) = match &self.drops {
            Some(drops) => drops.bind(shape, binding)?,
            None => (binding, None),
        };
        let binding = self.tombstones(value, binding);
        if let Some(mut named) = named {
            named.after(binding.layouts.len());
            self.named.insert(shape.id, named);
        }
        Ok(binding)
    }

    fn unbind(&mut self, shape: u32) {
        self.named.remove(&shape);
    }

    fn apply(&mut self, batch: Batch) -> Result<Output, Failure> {
        let unbound = || Failure::new("weir.extract-new-record-state.unbound", "a batch of a shape that needs no call");
        self.named.get_mut(&batch.shape).ok_or_else(unbound)?.apply(&batch)
    }

    fn rejected(_: Vec<Problem>) -> Failure {
        // the original says no more; `check` does
        Failure::new("org.apache.kafka.connect.errors.ConnectException", "Unable to validate config.")
    }
}

impl ExtractNewRecordState {
    /// What becomes of records without value: the first rule.
    fn tombstones(&self, value: u32, mut binding: Binding) -> Binding {
        let then = match self.mode {
            Mode::RewriteWithTombstone => {
                if binding.layouts.is_empty() {
                    binding.layout(vec![]);
                }
                // the one thing that a tombstone tells
                let op = self.headers.iter().filter(|h| h.source() == ["op"]);
                let edits = op.map(|h| Edit::header(&h.name, Constant::text("d"))).collect();
                Then::emit(binding.layout(edits))
            }
            _ => Then::drop(),
        };
        binding.rules.insert(0, weir::Rule { name: "tombstone".into(), when: vec![Test::IsNull(value)], then });
        binding
    }
}

weir::export!(ExtractNewRecordState);

#[cfg(test)]
mod tests {
    use super::*;
    use weir::testing::{Host, logged};

    #[test]
    fn the_two_old_options_are_one_now() {
        let cases: &[(&[(&str, &str)], Mode)] = &[
            (&[], Mode::Tombstone),
            (&[("drop.tombstones", "true")], Mode::Drop),
            (&[("drop.tombstones", "false")], Mode::DeleteToTombstone),
            (&[("delete.handling.mode", "rewrite")], Mode::Rewrite),
            (&[("drop.tombstones", "true"), ("delete.handling.mode", "none")], Mode::Tombstone),
            (&[("drop.tombstones", "false"), ("delete.handling.mode", "rewrite")], Mode::RewriteWithTombstone),
            (&[("drop.tombstones", "false"), ("delete.tombstone.handling.mode", "Drop")], Mode::Drop),
        ];
        for (options, mode) in cases {
            logged();
            let host = Host::<ExtractNewRecordState>::new(options).unwrap();
            assert_eq!(host.transform().mode, *mode, "{options:?}");
            let old = !options.is_empty() && options.iter().all(|(k, _)| *k != "delete.tombstone.handling.mode");
            assert_eq!(logged().len(), usize::from(old), "{options:?}");
        }
    }

    #[test]
    fn a_batch_of_a_shape_that_nothing_is_named_for_fails() {
        let mut host = Host::<ExtractNewRecordState>::new(&[]).unwrap();
        let failure = host.apply(Batch { shape: 7, rows: 1, columns: vec![] }).unwrap_err();
        assert_eq!(failure.code, "weir.extract-new-record-state.unbound");
    }

    #[test]
    fn old_options_are_no_part_of_the_manifest() {
        let names: Vec<String> =
            Host::<ExtractNewRecordState>::describe().options.into_iter().map(|o| o.name).collect();
        assert_eq!(names.len(), 9, "{names:?}");
    }
}
