//! How a result's columns fit those that its table has.

use std::collections::BTreeMap;

use nightdrop_schema::{Column, Header, Type};

use super::{Name, identifier};
use crate::ledger::reason::{Cause, Reason};

/// How a result fits its table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fit<'a> {
    /// Columns that the table lacks, and that are to be added.
    pub missing: Vec<&'a Column>,
    /// What is done to each column's values on their way.
    pub widened: Vec<Widening>,
}

/// How a value becomes one of a wider type, the same value still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Widening {
    /// Its bytes are the column's own.
    AsItIs,
    /// An int64 for a `numeric` column.
    Numeric,
    /// A json for a `json` column, which keeps the text as it is.
    JsonText,
}

/// Compares a result's columns with those that its table has (name to type, as `format_type` writes it).
///
/// # Errors
/// The reason to park the file: a column of another type, or, where the columns are the table's
/// owner's, one that the table doesn't have.
pub fn fit<'a>(
    name: &Name,
    header: &'a Header,
    table: &BTreeMap<String, String>,
    routed: bool,
) -> Result<Fit<'a>, Reason> {
    let mut fit = Fit::default();
    for column in &header.columns {
        let widening = match table.get(column.name.as_str()) {
            None if routed => return Err(unknown(name, column)),
            None => {
                fit.missing.push(column);
                Widening::AsItIs
            }
            Some(ty) if is_same(column.ty, ty) => Widening::AsItIs,
            Some(ty) if routed => {
                holds(column.ty, ty).ok_or_else(|| changed(name, column, ty, routed))?
            }
            Some(ty) => return Err(changed(name, column, ty, routed)),
        };
        fit.widened.push(widening);
    }
    Ok(fit)
}

fn unknown(name: &Name, column: &Column) -> Reason {
    Reason::new(
        Cause::ColumnUnknown,
        format!(
            "column {} is not in {name}, whose columns are its owner's; add it: ALTER TABLE {} ADD COLUMN {} {}",
            column.name,
            name.quoted(),
            identifier(column.name.as_str()),
            column.ty.postgres(),
        ),
    )
}

fn changed(name: &Name, column: &Column, ty: &str, routed: bool) -> Reason {
    let own = column.ty.postgres();
    let advice = if routed {
        format!(
            "which can't hold each of its values as it is; cast it in the query, or have the table's owner change it: ALTER TABLE {} ALTER COLUMN {} TYPE {own}",
            name.quoted(),
            identifier(column.name.as_str()),
        )
    } else {
        "give it its old type again, or another name".to_owned()
    };
    let between = if routed { ", " } else { "; " };
    Reason::new(
        Cause::ChangedType,
        format!(
            "column {} is {} ({own}) here and {ty} in {name}{between}{advice}",
            column.name,
            column.ty.as_str(),
        ),
    )
}

/// Whether a table's column is of the very type, all of it: one with a precision would round in silence.
pub(super) fn is_same(ty: Type, column: &str) -> bool {
    let full = full_name(ty);
    column == full
        || match ty {
            // All the digits that there are.
            Type::Time | Type::Timestamp | Type::Timestamptz => {
                column.replacen("(6)", "", 1) == full
            }
            _ => false,
        }
}

/// Whether results of this type can be loaded into a column.
pub(crate) fn takes(ty: Type, column: &str, routed: bool) -> bool {
    is_same(ty, column) || (routed && holds(ty, column).is_some())
}

/// What is done to a value for a wider column, if anything; none if the column can't hold each value of
/// the type as it is.
fn holds(ty: Type, column: &str) -> Option<Widening> {
    match (ty, column) {
        (Type::Int64, "numeric") => Some(Widening::Numeric),
        (Type::Int64, limited) => {
            let (precision, scale) = limited
                .strip_prefix("numeric(")?
                .strip_suffix(')')?
                .split_once(',')?;
            let (precision, scale): (i32, i32) = (precision.parse().ok()?, scale.parse().ok()?);
            // 2^63 has 19 digits.
            (scale >= 0 && precision - scale >= 19).then_some(Widening::Numeric)
        }
        (Type::String, "character varying") => Some(Widening::AsItIs),
        (Type::Json, "json") => Some(Widening::JsonText),
        _ => None,
    }
}

/// A type's name as `format_type` gives it.
pub(crate) fn full_name(ty: Type) -> &'static str {
    match ty {
        Type::Time => "time without time zone",
        Type::Timestamp => "timestamp without time zone",
        Type::Timestamptz => "timestamp with time zone",
        Type::Bool
        | Type::Int64
        | Type::Decimal
        | Type::Float64
        | Type::String
        | Type::Bytes
        | Type::Date
        | Type::Uuid
        | Type::Json => ty.postgres(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use nightdrop_schema::Mode;

    pub(in crate::table) fn header(mode: Mode, columns: &[(&str, Type)]) -> Header {
        let columns = columns.iter().map(|(name, ty)| Column {
            name: name.parse().unwrap(),
            ty: *ty,
            description: None,
            nullable: true,
        });
        Header {
            mode,
            columns: columns.collect(),
            parameters: None,
            next_by: None,
        }
    }

    #[test]
    fn a_column_of_another_type_is_named_with_both_types() {
        let name = Name {
            schema: "jfk".into(),
            table: "departures".into(),
        };
        let table = BTreeMap::from([
            ("flight".to_owned(), "bigint".to_owned()),
            ("at".to_owned(), "time without time zone".to_owned()),
        ]);
        let same = header(Mode::Append, &[("flight", Type::Int64), ("at", Type::Time)]);
        assert_eq!(
            fit(&name, &same, &table, true).unwrap(),
            Fit {
                missing: Vec::new(),
                widened: vec![Widening::AsItIs; 2],
            }
        );
        let changed = header(Mode::Append, &[("flight", Type::String)]);
        insta::assert_snapshot!(
            fit(&name, &changed, &table, false).unwrap_err().sentence,
            @"column flight is string (text) here and bigint in jfk.departures; give it its old type again, or another name"
        );
        insta::assert_snapshot!(
            fit(&name, &changed, &table, true).unwrap_err().sentence,
            @r#"column flight is string (text) here and bigint in jfk.departures, which can't hold each of its values as it is; cast it in the query, or have the table's owner change it: ALTER TABLE "jfk"."departures" ALTER COLUMN "flight" TYPE text"#
        );
    }

    #[test]
    fn a_routed_tables_columns_are_its_owners() {
        let name = Name {
            schema: "reports".into(),
            table: "departures".into(),
        };
        let wider = header(Mode::Append, &[("fare", Type::Decimal)]);
        let table = BTreeMap::new();
        assert_eq!(fit(&name, &wider, &table, false).unwrap().missing.len(), 1);
        insta::assert_snapshot!(
            fit(&name, &wider, &table, true).unwrap_err().sentence,
            @r#"column fare is not in reports.departures, whose columns are its owner's; add it: ALTER TABLE "reports"."departures" ADD COLUMN "fare" numeric"#
        );
    }

    #[test]
    fn a_column_takes_another_type_only_where_a_route_has_one_that_holds_each_of_its_values() {
        let name: Name = "reports.departures".parse().unwrap();
        let how = |ty: Type, column: &str, routed: bool| {
            let header = header(Mode::Append, &[("c", ty)]);
            let table = BTreeMap::from([("c".to_owned(), column.to_owned())]);
            fit(&name, &header, &table, routed)
                .map(|fit| fit.widened[0])
                .map_err(|reason| reason.cause)
        };
        for (ty, column, widening) in [
            (Type::Int64, "numeric", Widening::Numeric),
            (Type::Int64, "numeric(19,0)", Widening::Numeric),
            (Type::Int64, "numeric(30,11)", Widening::Numeric),
            (Type::String, "character varying", Widening::AsItIs),
            (Type::Json, "json", Widening::JsonText),
        ] {
            assert_eq!(how(ty, column, true), Ok(widening), "{column}");
            assert_eq!(how(ty, column, false), Err(Cause::ChangedType), "{column}");
        }
        for (ty, column) in [
            (Type::Int64, "integer"),
            (Type::Int64, "smallint"),
            (Type::Int64, "double precision"),
            (Type::Int64, "text"),
            (Type::Int64, "numeric(18,0)"),
            (Type::Int64, "numeric(20,2)"),
            (Type::Int64, "numeric(20,-1)"),
            (Type::Decimal, "numeric(10,2)"),
            (Type::Decimal, "double precision"),
            (Type::Float64, "numeric"),
            (Type::Float64, "real"),
            (Type::String, "character varying(10)"),
            (Type::String, "character(10)"),
            (Type::String, "json"),
            (Type::Date, "timestamp without time zone"),
            (Type::Timestamp, "timestamp with time zone"),
            (Type::Timestamptz, "timestamp without time zone"),
            (Type::Timestamptz, "timestamp(3) with time zone"),
            (Type::Time, "time(0) without time zone"),
            (Type::Time, "time with time zone"),
            (Type::Uuid, "text"),
        ] {
            assert_eq!(how(ty, column, true), Err(Cause::ChangedType), "{column}");
        }
        for routed in [true, false] {
            assert_eq!(
                how(Type::Timestamp, "timestamp(6) without time zone", routed),
                Ok(Widening::AsItIs)
            );
        }
    }
}
