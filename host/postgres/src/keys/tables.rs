//! Which tables and columns.

use weir_api::{Key, KeyType};

const TABLES: &str = "tables and columns";

pub const WORKING: &[Key] = &[
    Key::new("schema.include.list", KeyType::List, "Regular expressions of schemas that are captured.").group(TABLES),
    Key::new("schema.exclude.list", KeyType::List, "Regular expressions of schemas that are not.").group(TABLES),
    Key::new("table.include.list", KeyType::List, "Regular expressions of tables (schema.table) that are captured.")
        .group(TABLES),
    Key::new("table.exclude.list", KeyType::List, "Regular expressions of tables that are not.").group(TABLES),
    Key::new(
        "column.include.list",
        KeyType::List,
        "Regular expressions of columns (schema.table.column) that are captured.",
    )
    .group(TABLES),
    Key::new("column.exclude.list", KeyType::List, "Regular expressions of columns that are not.").group(TABLES),
    Key::new(
        "message.key.columns",
        KeyType::String,
        "table:column,column;…: columns of the key, for tables that match.",
    )
    .group(TABLES),
];

pub const OTHERS: &[Key] = rows! { TABLES:
    refused "table.ignore.builtin" Boolean "true" "Whether the system's tables are left out."
        => "remove it: the log does not carry them";
    refused "include.unknown.datatypes" Boolean "false" "Columns of unknown types as bytes."
        => "a generated column that holds the value as text";
    refused "include.schema.comments" Boolean "false" "Comments in the schemas."
        => "remove it: schemas carry no comments";
    refused "column.propagate.source.type" List - "Columns whose types stand in the schema."
        => "remove it: schemas carry no source types";
    refused "datatype.propagate.source.type" List - "Types that stand in the schema."
        => "remove it: schemas carry no source types";
    refused "skip.messages.without.change" Boolean "false" "Whether an update that changes nothing is left out."
        => "remove it: such updates are written";
    ignored "schema.refresh.mode" String "columns_diff" "When a schema is read again."
        => "the stream says when a table has changed";
    ignored "guardrail.collections.max" Int "0" "The most tables."
        => "of a table nothing is kept but its schema";
    ignored "guardrail.collections.limit.action" String "warn" "What happens beyond."
        => "of a table nothing is kept but its schema";
};
