//! Names that Avro does not take, as Debezium makes them fit.

/// `schema.name.adjustment.mode`, `field.name.adjustment.mode`
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Adjust {
    #[default]
    None,
    /// what does not fit becomes `_`
    Avro,
    /// `_u00e4`, so that different names stay different
    AvroUnicode,
}

// === impl Adjust ===

impl Adjust {
    pub fn parse(text: &str) -> Option<Adjust> {
        Some(match text.to_ascii_lowercase().as_str() {
            "none" => Adjust::None,
            "avro" => Adjust::Avro,
            "avro_unicode" => Adjust::AvroUnicode,
            _ => return None,
        })
    }

    /// A schema's full name: its dots stay.
    pub fn schema(self, name: &str) -> String {
        self.name(name, true)
    }

    pub fn field(self, name: &str) -> String {
        self.name(name, false)
    }

    fn name(self, name: &str, dots: bool) -> String {
        if self == Adjust::None {
            return name.into();
        }
        let is_letter = |c: char| c.is_ascii_alphabetic() || c == '_' && self == Adjust::Avro;
        let mut out = String::with_capacity(name.len());
        for (i, c) in name.chars().enumerate() {
            match c {
                c if is_letter(c) => out.push(c),
                // a digit may not come first: it is put behind something that may
                c if c.is_ascii_digit() && i == 0 && self == Adjust::Avro => {
                    out.push('_');
                    out.push(c)
                }
                c if c.is_ascii_digit() && i > 0 => out.push(c),
                '.' if dots && i > 0 => out.push(c),
                c => {
                    let mut units = [0; 2];
                    for unit in c.encode_utf16(&mut units) {
                        match self {
                            Adjust::AvroUnicode => out.push_str(&format!("_u{unit:04x}")),
                            _ => out.push('_'),
                        }
                    }
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Debezium's own classes answer.
    #[test]
    fn names_fit_as_debezium_makes_them() {
        for (adjust, name, schema, field) in [
            (Adjust::None, "a.1b$", "a.1b$", "a.1b$"),
            (Adjust::Avro, "x.y-z.1q.Envelope", "x.y_z.1q.Envelope", "x_y_z_1q_Envelope"),
            (Adjust::Avro, ".a", "_a", "_a"),
            (Adjust::Avro, "9", "_9", "_9"),
            (Adjust::Avro, "a.\u{fc}.b", "a._.b", "a___b"),
            (Adjust::Avro, "__a", "__a", "__a"),
            (Adjust::AvroUnicode, "1abc", "_u0031abc", "_u0031abc"),
            (Adjust::AvroUnicode, "x.y-z.1q", "x.y_u002dz.1q", "x_u002ey_u002dz_u002e1q"),
            (Adjust::AvroUnicode, "a_b", "a_u005fb", "a_u005fb"),
            (Adjust::AvroUnicode, "a\u{1f600}b", "a_ud83d_ude00b", "a_ud83d_ude00b"),
        ] {
            assert_eq!(adjust.schema(name), schema);
            assert_eq!(adjust.field(name), field);
        }
    }
}
