//! What a transform says of itself: the host's side of the WIT's `manifest`.

use crate::wit;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Manifest {
    pub summary: String,
    pub options: Vec<OptionDef>,
}

/// One option, declared once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OptionDef {
    pub name: String,
    pub ty: OptionType,
    pub required: bool,
    pub default: Option<String>,
    pub importance: Importance,
    pub width: Width,
    pub group: Option<String>,
    pub order: i32,
    pub label: String,
    pub doc: String,
    /// the values to offer; empty: any
    pub one_of: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OptionType {
    Text,
    Boolean,
    Short,
    Int,
    Long,
    Double,
    List,
    Class,
    Password,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Importance {
    High,
    Medium,
    Low,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Width {
    None,
    Short,
    Medium,
    Long,
}

/// What is wrong with the option of this name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    pub name: String,
    pub message: String,
}

pub(crate) fn manifest(said: wit::Manifest) -> Manifest {
    Manifest { summary: said.summary, options: said.options.into_iter().map(option).collect() }
}

fn option(o: wit::OptionDef) -> OptionDef {
    let ty = match o.type_ {
        wit::OptionType::Text => OptionType::Text,
        wit::OptionType::Boolean => OptionType::Boolean,
        wit::OptionType::Short => OptionType::Short,
        wit::OptionType::Int => OptionType::Int,
        wit::OptionType::Long => OptionType::Long,
        wit::OptionType::Double => OptionType::Double,
        wit::OptionType::List => OptionType::List,
        wit::OptionType::Class => OptionType::Class,
        wit::OptionType::Password => OptionType::Password,
    };
    let importance = match o.importance {
        wit::Importance::High => Importance::High,
        wit::Importance::Medium => Importance::Medium,
        wit::Importance::Low => Importance::Low,
    };
    let width = match o.width {
        wit::Width::None => Width::None,
        wit::Width::Short => Width::Short,
        wit::Width::Medium => Width::Medium,
        wit::Width::Long => Width::Long,
    };
    let wit::OptionDef { name, required, default, group, order, label, doc, one_of, .. } = o;
    OptionDef { name, ty, required, default, importance, width, group, order, label, doc, one_of }
}
