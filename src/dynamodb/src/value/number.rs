//! DynamoDB's numbers: exact decimals of up to 38 significant digits.
//!
//! Own arithmetic rather than a crate: 38 digits fit a `u128`, DynamoDB's expressions need sum and
//! difference only, and what a general decimal crate would add (rounding, special values) is what
//! must not happen here. What transforms need beyond that is in `arithmetic.rs`.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// Significant digits a number can have (DynamoDB Developer Guide, "Data types").
pub(super) const DIGITS_MAX: u32 = 38;
/// Largest power of ten a number's first digit can stand for: 9.99…E+125.
const MAGNITUDE_MAX: i64 = 125;
/// Smallest power of ten a number's first digit can stand for: 1E-130.
const MAGNITUDE_MIN: i64 = -130;

/// A DynamoDB number in its one canonical form: equal numbers are equal values, however written.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Number {
    negative: bool,
    /// Without trailing zeros; 0 only for zero.
    coefficient: u128,
    /// Power of ten of the coefficient's last digit; 0 for zero.
    exponent: i16,
}

/// Why something is not, or does not give, a number DynamoDB can hold. Displays as DynamoDB's
/// words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    #[error("The parameter cannot be converted to a numeric value")]
    Empty,
    /// It is no decimal numeral.
    #[error("The parameter cannot be converted to a numeric value: {0}")]
    NotNumeric(String),
    /// More than 38 significant digits.
    #[error("Attempting to store more than 38 significant digits in a Number")]
    TooPrecise,
    /// Beyond 9.99…E+125.
    #[error(
        "Number overflow. Attempting to store a number with magnitude larger than supported range"
    )]
    Overflow,
    /// Closer to zero than 1E-130.
    #[error(
        "Number underflow. Attempting to store a number with magnitude smaller than supported range"
    )]
    Underflow,
    /// A divisor, or a step to round to, is zero. Only transforms divide.
    #[error("Division by zero")]
    DivisionByZero,
}

/// A numeral taken apart, before its limits are checked.
#[derive(Default)]
struct Digits {
    coefficient: u128,
    /// Significant digits seen, trailing zeros not counted; may pass 38.
    count: u64,
    trailing_zeros: u64,
    /// Digits seen after the point.
    fraction: u64,
    any: bool,
}

impl Digits {
    fn push(&mut self, digit: u8, after_point: bool) {
        self.any = true;
        self.fraction += u64::from(after_point);
        if digit == 0 {
            self.trailing_zeros += u64::from(self.count > 0);
            return;
        }
        self.count += if self.count == 0 { 1 } else { self.trailing_zeros + 1 };
        if self.count <= u64::from(DIGITS_MAX) {
            let zeros = u32::try_from(self.trailing_zeros).unwrap_or(0);
            self.coefficient = self.coefficient * 10_u128.pow(zeros + 1) + u128::from(digit);
        }
        self.trailing_zeros = 0;
    }
}

impl Number {
    pub const ZERO: Self = Self { negative: false, coefficient: 0, exponent: 0 };

    /// Reads a numeral as DynamoDB accepts it: sign, digits, point, exponent.
    pub fn parse(text: &str) -> Result<Self, NumberError> {
        if text.is_empty() {
            return Err(NumberError::Empty);
        }
        let (negative, digits, exponent) =
            take_apart(text).ok_or_else(|| NumberError::NotNumeric(text.to_owned()))?;
        if digits.count == 0 {
            check_magnitude(exponent.saturating_sub_unsigned(digits.fraction), 1)?;
            return Ok(Self::ZERO);
        }
        let exponent = exponent.saturating_add_unsigned(digits.trailing_zeros);
        let exponent = exponent.saturating_sub_unsigned(digits.fraction);
        check_magnitude(exponent, digits.count)?;
        if digits.count > u64::from(DIGITS_MAX) {
            return Err(NumberError::TooPrecise);
        }
        let exponent = i16::try_from(exponent).map_err(|_| NumberError::Overflow)?;
        Ok(Self { negative, coefficient: digits.coefficient, exponent })
    }

    /// The exact sum, or why DynamoDB cannot hold it.
    pub fn plus(self, other: Self) -> Result<Self, NumberError> {
        if self.is_zero() {
            return Ok(other);
        }
        if other.is_zero() {
            return Ok(self);
        }
        let (high, low) =
            if self.exponent >= other.exponent { (self, other) } else { (other, self) };
        // Both in units of the lower one's last digit. That digit is not zero, so when the higher
        // one does not fit into 128 bits the sum has more than 38 significant digits.
        let shift = u32::from(high.exponent.abs_diff(low.exponent));
        let scaled = 10_u128
            .checked_pow(shift)
            .and_then(|factor| high.coefficient.checked_mul(factor))
            .ok_or(NumberError::TooPrecise)?;
        let (negative, coefficient) = if high.negative == low.negative {
            (high.negative, scaled.checked_add(low.coefficient).ok_or(NumberError::TooPrecise)?)
        } else if scaled >= low.coefficient {
            (high.negative, scaled - low.coefficient)
        } else {
            (low.negative, low.coefficient - scaled)
        };
        Self::normalized(negative, coefficient, low.exponent)
    }

    /// The exact difference, or why DynamoDB cannot hold it.
    pub fn minus(self, other: Self) -> Result<Self, NumberError> {
        self.plus(other.negated())
    }

    /// The same magnitude with the other sign.
    #[must_use]
    pub fn negated(self) -> Self {
        Self { negative: !self.negative && !self.is_zero(), ..self }
    }

    /// Whether it is zero.
    pub fn is_zero(self) -> bool {
        self.coefficient == 0
    }

    /// Whether it is below zero.
    pub fn is_negative(self) -> bool {
        self.negative
    }

    /// How many significant digits it has: 1 for zero.
    pub fn digit_count(self) -> u32 {
        self.coefficient.checked_ilog10().map_or(1, |log| log + 1)
    }

    /// The power of ten its first digit stands for: 0 for zero.
    pub fn magnitude(self) -> i16 {
        if self.is_zero() {
            return 0;
        }
        let above_last = i16::try_from(self.digit_count() - 1).unwrap_or(0);
        self.exponent + above_last
    }

    /// The integer it is, if it is one and fits.
    pub fn to_i64(self) -> Option<i64> {
        let power = 10_u128.checked_pow(u32::try_from(self.exponent).ok()?)?;
        let magnitude = i128::try_from(self.coefficient.checked_mul(power)?).ok()?;
        i64::try_from(if self.negative { -magnitude } else { magnitude }).ok()
    }

    /// Bytes that sort as the numbers do, and of which none is the beginning of another.
    pub fn to_ordered_bytes(self) -> Vec<u8> {
        if self.is_zero() {
            return vec![1];
        }
        // Sign, power of ten, digits, end: for negative numbers all but the sign upside down.
        let power = u8::try_from(i64::from(self.magnitude()) - MAGNITUDE_MIN).unwrap_or(u8::MAX);
        let digits = self.coefficient.to_string();
        let tail = std::iter::once(power).chain(digits.bytes()).chain([0]);
        if self.negative {
            std::iter::once(0).chain(tail.map(|byte| !byte)).collect()
        } else {
            std::iter::once(2).chain(tail).collect()
        }
    }

    /// The digits, without their sign and power of ten.
    pub(super) fn coefficient(self) -> u128 {
        self.coefficient
    }

    /// The power of ten of the last digit.
    pub(super) fn exponent(self) -> i16 {
        self.exponent
    }

    /// The number of these parts, or why DynamoDB cannot hold it.
    pub(super) fn of_parts(
        negative: bool,
        coefficient: u128,
        exponent: i32,
    ) -> Result<Self, NumberError> {
        let exponent = i16::try_from(exponent).map_err(|_| NumberError::Overflow)?;
        Self::normalized(negative, coefficient, exponent)
    }

    fn normalized(
        negative: bool,
        mut coefficient: u128,
        exponent: i16,
    ) -> Result<Self, NumberError> {
        if coefficient == 0 {
            return Ok(Self::ZERO);
        }
        let mut exponent = exponent;
        while coefficient.is_multiple_of(10) {
            coefficient /= 10;
            exponent += 1;
        }
        let number = Self { negative, coefficient, exponent };
        check_magnitude(i64::from(exponent), u64::from(number.digit_count()))?;
        if number.digit_count() > DIGITS_MAX {
            return Err(NumberError::TooPrecise);
        }
        Ok(number)
    }

    fn compare_magnitude(self, other: Self) -> Ordering {
        if self.is_zero() || other.is_zero() {
            return self.coefficient.cmp(&other.coefficient);
        }
        self.magnitude().cmp(&other.magnitude()).then_with(|| {
            let (left, right) = (self.digit_count(), other.digit_count());
            let digits = left.max(right);
            let left = self.coefficient * 10_u128.pow(digits - left);
            let right = other.coefficient * 10_u128.pow(digits - right);
            left.cmp(&right)
        })
    }
}

/// `None` when the text is no decimal numeral or its exponent has more than 64 bits.
fn take_apart(text: &str) -> Option<(bool, Digits, i64)> {
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], unsigned[at + 1..].parse().ok()?),
        None => (unsigned, 0),
    };
    let mut digits = Digits::default();
    let mut point = false;
    for byte in mantissa.bytes() {
        match byte {
            b'0'..=b'9' => digits.push(byte - b'0', point),
            b'.' if !point => point = true,
            _ => return None,
        }
    }
    digits.any.then_some((negative, digits, exponent))
}

/// Magnitude is checked before precision, as DynamoDB does.
fn check_magnitude(exponent: i64, count: u64) -> Result<(), NumberError> {
    let magnitude = exponent.saturating_add_unsigned(count - 1);
    if magnitude > MAGNITUDE_MAX {
        return Err(NumberError::Overflow);
    }
    if magnitude < MAGNITUDE_MIN {
        return Err(NumberError::Underflow);
    }
    Ok(())
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => self.compare_magnitude(*other),
            (true, true) => other.compare_magnitude(*self),
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Number {
    /// Plain digits, never an exponent: as DynamoDB returns numbers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.negative { "-" } else { "" };
        let digits = self.coefficient.to_string();
        if self.exponent >= 0 {
            let zeros = usize::from(self.exponent.unsigned_abs());
            return write!(f, "{sign}{digits}{:0<zeros$}", "");
        }
        let places = usize::from(self.exponent.unsigned_abs());
        if digits.len() > places {
            let (whole, fraction) = digits.split_at(digits.len() - places);
            write!(f, "{sign}{whole}.{fraction}")
        } else {
            write!(f, "{sign}0.{digits:0>places$}")
        }
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Number({self})")
    }
}

impl FromStr for Number {
    type Err = NumberError;

    fn from_str(text: &str) -> Result<Self, NumberError> {
        Self::parse(text)
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self::of_integer(value < 0, u128::from(value.unsigned_abs()))
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self::of_integer(false, u128::from(value))
    }
}

impl Number {
    /// For integers of at most 20 digits, which every limit allows.
    fn of_integer(negative: bool, mut coefficient: u128) -> Self {
        if coefficient == 0 {
            return Self::ZERO;
        }
        let mut exponent = 0;
        while coefficient.is_multiple_of(10) {
            coefficient /= 10;
            exponent += 1;
        }
        Self { negative, coefficient, exponent }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let shown = Number::parse(text).map_or_else(|error| error.to_string(), |n| n.to_string());
        assert_eq!(shown, expected, "{text:.80}");
    }

    fn number(text: &str) -> Number {
        Number::parse(text).unwrap()
    }

    const OVERFLOW: &str =
        "Number overflow. Attempting to store a number with magnitude larger than supported range";
    const UNDERFLOW: &str = "Number underflow. Attempting to store a number with magnitude smaller \
                             than supported range";
    const TOO_PRECISE: &str = "Attempting to store more than 38 significant digits in a Number";

    #[test]
    fn numerals_become_plain_digits_without_needless_zeros() {
        for (text, expected) in [
            ("0", "0"),
            ("-0", "0"),
            ("0.000", "0"),
            ("007", "7"),
            ("+1", "1"),
            ("1.", "1"),
            (".5", "0.5"),
            ("-1.500", "-1.5"),
            ("1e3", "1000"),
            ("1E+3", "1000"),
            ("1.23e1", "12.3"),
            ("12300e-2", "123"),
            ("100", "100"),
            ("1e-3", "0.001"),
            ("100200300", "100200300"),
            ("0.00010", "0.0001"),
        ] {
            check(text, expected);
        }
        check("1e125", &format!("1{}", "0".repeat(125)));
        check("1e-130", &format!("0.{}1", "0".repeat(129)));
    }

    #[test]
    fn the_limits_are_exact_and_magnitude_is_checked_first() {
        let nines = "9".repeat(38);
        check(&nines, &nines);
        check(&format!("{nines}e89"), OVERFLOW);
        assert!(Number::parse(&format!("{nines}e88")).is_ok());
        check(&format!("1{}1", "0".repeat(37)), TOO_PRECISE);
        check(&format!("1{}", "0".repeat(60)), &format!("1{}", "0".repeat(60)));
        check("1e126", OVERFLOW);
        check("-1e126", OVERFLOW);
        check("9.9e-131", UNDERFLOW);
        check(&format!("{}e200", "1".repeat(50)), OVERFLOW);
        check(&"1".repeat(39), TOO_PRECISE);
    }

    #[test]
    fn what_is_no_numeral_is_refused() {
        for text in
            ["abc", "1a", "--1", "1.2.3", "e5", ".", "-", "+", "1e", "NaN", "Infinity", "0x1", "１"]
        {
            check(text, &format!("The parameter cannot be converted to a numeric value: {text}"));
        }
        check("", "The parameter cannot be converted to a numeric value");
        let exponent = "1e99999999999999999999";
        check(
            exponent,
            &format!("The parameter cannot be converted to a numeric value: {exponent}"),
        );
    }

    /// As recorded at AWS in October 2026.
    #[test]
    fn an_exponent_counts_for_zero_too_and_has_64_bits() {
        for text in ["1e99999999999", "0e126", "0e99999999999"] {
            check(text, OVERFLOW);
        }
        for text in ["1e-99999999999", "0e-131"] {
            check(text, UNDERFLOW);
        }
        for text in ["0e125", "0e-130", "0.00e127"] {
            check(text, "0");
        }
    }

    #[test]
    fn sixteen_megabytes_of_digits_are_read_in_one_pass() {
        check(&"1".repeat(16 << 20), OVERFLOW);
        check(&format!("0.{}1", "0".repeat(16 << 20)), UNDERFLOW);
        check(&format!("{}1", "0".repeat(16 << 20)), "1");
    }

    #[test]
    fn order_is_numeric_in_both_forms() {
        let ascending = [
            "-1e125",
            "-100",
            "-99.5",
            "-99",
            "-10",
            "-9.9",
            "-1",
            "-0.1",
            "-0.01",
            "-1e-130",
            "0",
            "1e-130",
            "0.001",
            "0.01",
            "0.010000001",
            "0.1",
            "1",
            "1.5",
            "2",
            "9.9",
            "10",
            "10.01",
            "99",
            "99.5",
            "100",
            "123456789",
            "1e38",
            "1e125",
        ];
        for (i, left) in ascending.iter().enumerate() {
            for (j, right) in ascending.iter().enumerate() {
                let (left, right) = (number(left), number(right));
                assert_eq!(left.cmp(&right), i.cmp(&j), "{left} {right}");
                let bytes = left.to_ordered_bytes().cmp(&right.to_ordered_bytes());
                assert_eq!(bytes, i.cmp(&j), "bytes of {left} {right}");
            }
        }
    }

    #[test]
    fn sums_are_exact_or_refused() {
        let max = "9".repeat(38);
        for (left, right, expected) in [
            ("1", "2", "3"),
            ("0.1", "0.2", "0.3"),
            ("1", "-1", "0"),
            ("5", "0", "5"),
            ("-5", "3", "-2"),
            ("3", "-5", "-2"),
            ("99", "1", "100"),
            ("1e37", "1", "10000000000000000000000000000000000001"),
            ("1e38", "-1", max.as_str()),
            (max.as_str(), "1", "100000000000000000000000000000000000000"),
            ("1e38", "1", TOO_PRECISE),
            ("1e125", "1e-130", TOO_PRECISE),
            ("9e125", "1e125", OVERFLOW),
            ("-9e125", "-1e125", OVERFLOW),
            ("1e-130", "-1e-130", "0"),
            (max.as_str(), "0.1", TOO_PRECISE),
            (max.as_str(), max.as_str(), TOO_PRECISE),
        ] {
            let sum = number(left).plus(number(right));
            let shown = sum.map_or_else(|error| error.to_string(), |n| n.to_string());
            assert_eq!(shown, expected, "{left} + {right}");
        }
        assert_eq!(number("0").minus(number("5")).unwrap().to_string(), "-5");
        assert_eq!(number("1.1e-130").minus(number("1e-130")), Err(NumberError::Underflow));
    }

    #[test]
    fn integers_convert_both_ways() {
        for value in [0, 1, -1, 1000, -120, i64::MAX, i64::MIN] {
            assert_eq!(Number::from(value).to_string(), value.to_string());
            assert_eq!(Number::from(value).to_i64(), Some(value));
            assert_eq!(Number::from(value), number(&value.to_string()));
        }
        assert_eq!(number("1.5").to_i64(), None);
        assert_eq!(number("1e30").to_i64(), None);
    }
}
