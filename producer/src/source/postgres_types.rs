//! Postgres's types: what each travels as, how its text is read, how a parameter is bound.

use nightdrop_schema::{Type, Value, copy};
use sqlx::{
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgArguments, PgTypeInfo, Postgres, types::Oid},
};

use super::{Error, Unfit, utf8};
use crate::{
    parameters::{Parameter, Placeholder},
    text_form,
};

// From Postgres's src/include/catalog/pg_type.dat. A domain comes as its base type: so says the
// server's RowDescription.
const BOOL: u32 = 16;
const BYTEA: u32 = 17;
const INT8: u32 = 20;
const INT2: u32 = 21;
const INT4: u32 = 23;
const OID: u32 = 26;
const JSON: u32 = 114;
const FLOAT4: u32 = 700;
const FLOAT8: u32 = 701;
const DATE: u32 = 1082;
const TIME: u32 = 1083;
const TIMESTAMP: u32 = 1114;
const TIMESTAMPTZ: u32 = 1184;
const NUMERIC: u32 = 1700;
const UUID: u32 = 2950;
const JSONB: u32 = 3802;

/// What a Postgres type travels as; `docs/sources.md` has the table for people.
pub(super) fn mapped(oid: u32) -> Type {
    match oid {
        BOOL => Type::Bool,
        INT2 | INT4 | INT8 | OID => Type::Int64,
        NUMERIC => Type::Decimal,
        FLOAT4 | FLOAT8 => Type::Float64,
        BYTEA => Type::Bytes,
        DATE => Type::Date,
        TIME => Type::Time,
        TIMESTAMP => Type::Timestamp,
        TIMESTAMPTZ => Type::Timestamptz,
        UUID => Type::Uuid,
        JSON | JSONB => Type::Json,
        _ => Type::String,
    }
}

/// A parameter as Postgres's own binary form: the same bytes as in a binary COPY.
struct Bound<'a>(&'a Parameter);

impl sqlx::Type<Postgres> for Bound<'_> {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(TEXT))
    }
}

const TEXT: u32 = 25;

impl sqlx::Encode<'_, Postgres> for Bound<'_> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        const LENGTH: usize = 4;
        let mut bytes = Vec::new();
        copy::encode(&self.0.value(&mut String::new()), &mut bytes);
        buffer.extend_from_slice(&bytes[LENGTH..]);
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(bound_as(self.0.ty()))
    }
}

/// The Postgres type that a parameter is bound as.
fn bound_as(ty: Type) -> PgTypeInfo {
    PgTypeInfo::with_oid(Oid(match ty {
        Type::Bool => BOOL,
        Type::Int64 => INT8,
        Type::Decimal => NUMERIC,
        Type::Float64 => FLOAT8,
        Type::String => TEXT,
        Type::Bytes => BYTEA,
        Type::Date => DATE,
        Type::Time => TIME,
        Type::Timestamp => TIMESTAMP,
        Type::Timestamptz => TIMESTAMPTZ,
        Type::Uuid => UUID,
        Type::Json => JSONB,
    }))
}

/// The same while the ends of the interval have no type yet: Postgres infers it from the query.
pub(super) fn type_before(placeholder: &Placeholder) -> PgTypeInfo {
    const UNSPECIFIED: u32 = 0;
    match placeholder {
        Placeholder::Value(parameter) => bound_as(parameter.ty()),
        Placeholder::End(..) => PgTypeInfo::with_oid(Oid(UNSPECIFIED)),
    }
}

pub(super) fn arguments(parameters: &[Parameter]) -> Result<PgArguments, Error> {
    let mut arguments = PgArguments::default();
    for parameter in parameters {
        sqlx::Arguments::add(&mut arguments, Bound(parameter))
            .map_err(|why| Error::Refused(why.to_string()))?;
    }
    Ok(arguments)
}

/// How the text of a column's type is read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reader {
    /// As a value of the column's type.
    Text,
    /// `\x` and hexadecimal digits.
    Bytea,
    /// The shortest digits of 32 bits.
    Real,
}

#[derive(Default)]
pub(super) struct Scratch {
    text: String,
    bytes: Vec<u8>,
}

impl Reader {
    /// For a Postgres type that travels as `ty`.
    pub(super) fn of(oid: u32, ty: Type) -> Self {
        match (oid, ty) {
            (BYTEA, Type::Bytes) => Self::Bytea,
            (FLOAT4, Type::Float64) => Self::Real,
            _ => Self::Text,
        }
    }

    pub(super) fn read<'a>(
        self,
        ty: Type,
        found: &'a [u8],
        scratch: &'a mut Scratch,
    ) -> Result<Value<'a>, Unfit> {
        let text = utf8(found)?;
        match self {
            Self::Text => Ok(text_form::parse(ty, text, &mut scratch.text)?),
            Self::Bytea => {
                hex(text, &mut scratch.bytes)?;
                Ok(Value::Bytes(&scratch.bytes))
            }
            // Before Postgres 12 nine digits were written where fewer do.
            Self::Real => Ok(Value::Float64(match text {
                "Infinity" => f64::INFINITY,
                "-Infinity" => f64::NEG_INFINITY,
                _ => {
                    text_form::widened(text.parse().map_err(|_| format!("{text:?} is no number"))?)
                }
            })),
        }
    }
}

fn hex(text: &str, out: &mut Vec<u8>) -> Result<(), String> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    out.clear();
    let digits = text.strip_prefix("\\x").ok_or("is no bytea in hex form")?;
    for pair in digits.as_bytes().chunks(2) {
        let [high, low] = *pair else {
            return Err("has an odd number of hex digits".to_owned());
        };
        let (Some(high), Some(low)) = (digit(high), digit(low)) else {
            return Err("has a digit that is not hexadecimal".to_owned());
        };
        out.push(high << 4 | low);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(reader: Reader, ty: Type, found: &str) -> String {
        match reader.read(ty, found.as_bytes(), &mut Scratch::default()) {
            Ok(value) => format!("{value:?}"),
            Err(unfit) => unfit.sentence,
        }
    }

    #[test]
    fn bytea_is_read_from_its_hex_form() {
        assert_eq!(
            read(Reader::Bytea, Type::Bytes, "\\x00ff10"),
            "Bytes([0, 255, 16])"
        );
        assert_eq!(read(Reader::Bytea, Type::Bytes, "\\x"), "Bytes([])");
        assert_eq!(
            read(Reader::Bytea, Type::Bytes, "abc"),
            "is no bytea in hex form"
        );
        assert_eq!(
            read(Reader::Bytea, Type::Bytes, "\\x0"),
            "has an odd number of hex digits"
        );
    }

    #[test]
    fn a_real_keeps_its_shortest_digits_whatever_the_server_writes() {
        assert_eq!(read(Reader::Real, Type::Float64, "1.1"), "Float64(1.1)");
        assert_eq!(
            read(Reader::Real, Type::Float64, "1.10000002"),
            "Float64(1.1)"
        );
        assert_eq!(
            read(Reader::Real, Type::Float64, "-Infinity"),
            "Float64(-inf)"
        );
        assert_eq!(read(Reader::Real, Type::Float64, "NaN"), "Float64(NaN)");
    }

    #[test]
    fn a_parameter_is_bound_with_its_own_type() {
        let parameter = Parameter::new(Type::Date, "2000-01-02").unwrap();
        let mut arguments = PgArguments::default();
        sqlx::Arguments::add(&mut arguments, Bound(&parameter)).unwrap();
        let bound = Bound(&parameter);
        assert_eq!(
            sqlx::Encode::produces(&bound).and_then(|ty| ty.oid()),
            Some(Oid(DATE))
        );
    }
}
