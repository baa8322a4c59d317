//! Arithmetic of transforms: like DynamoDB's, but rounded half-even at 38 digits where DynamoDB,
//! whose expressions only add and subtract, rejects an inexact result.

use std::cmp::Ordering;

use super::number::{DIGITS_MAX, Number, NumberError};

type Result<T> = std::result::Result<T, NumberError>;

/// Half of a number's digits: two halves of two numbers multiply without overflow.
const HALF: u128 = 10_u128.pow(DIGITS_MAX / 2);
/// One more than the largest coefficient.
const FULL: u128 = 10_u128.pow(DIGITS_MAX);

/// Which multiple a number between two of them becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// The nearest one, an even one where both are equally near.
    HalfEven,
    Down,
    Up,
}

/// An unsigned value of up to 76 digits, and whether anything but zeros follows them.
#[derive(Clone, Copy)]
struct Wide {
    /// May pass 38 digits by one.
    high: u128,
    low: u128,
    sticky: bool,
    /// Power of ten of the last digit of `low`.
    exponent: i32,
}

impl Number {
    /// Returns the sum, rounded half-even at 38 digits.
    pub fn plus_rounded(self, other: Self) -> Result<Self> {
        match self.plus(other) {
            Err(NumberError::TooPrecise) => {}
            exact => return exact,
        }
        let (large, small) =
            if self.magnitude() >= other.magnitude() { (self, other) } else { (other, self) };
        let padding = DIGITS_MAX - large.digit_count();
        let high = large.coefficient() * 10_u128.pow(padding);
        let unit = i32::from(large.exponent()) - i32::try_from(padding).unwrap_or_default();
        let exponent = unit - i32::try_from(DIGITS_MAX).unwrap_or_default();
        let addend = Wide::of(small, exponent);
        let sum = Wide { high, low: 0, sticky: false, exponent };
        if large.is_negative() == small.is_negative() {
            return sum.plus(addend).rounded(large.is_negative());
        }
        match sum.minus(addend) {
            Some(difference) => difference.rounded(large.is_negative()),
            None => addend.minus(sum).unwrap_or(addend).rounded(small.is_negative()),
        }
    }

    /// Returns the difference, rounded half-even at 38 digits.
    pub fn minus_rounded(self, other: Self) -> Result<Self> {
        self.plus_rounded(other.negated())
    }

    /// Returns the product, rounded half-even at 38 digits.
    pub fn times(self, other: Self) -> Result<Self> {
        let (left, right) = (self.coefficient(), other.coefficient());
        let (left_high, left_low) = (left / HALF, left % HALF);
        let (right_high, right_low) = (right / HALF, right % HALF);
        let lowest = left_low * right_low;
        let middle = left_high * right_low + left_low * right_high + lowest / HALF;
        let high = left_high * right_high + middle / HALF;
        let low = (middle % HALF) * HALF + lowest % HALF;
        let exponent = i32::from(self.exponent()) + i32::from(other.exponent());
        let product = Wide { high, low, sticky: false, exponent };
        product.rounded(self.is_negative() != other.is_negative())
    }

    /// Returns the quotient, rounded half-even at 38 digits.
    pub fn divided_by(self, divisor: Self) -> Result<Self> {
        if divisor.is_zero() {
            return Err(NumberError::DivisionByZero);
        }
        if self.is_zero() {
            return Ok(Self::ZERO);
        }
        let by = divisor.coefficient();
        let (mut quotient, mut rest) = (self.coefficient() / by, self.coefficient() % by);
        let mut exponent = i32::from(self.exponent()) - i32::from(divisor.exponent());
        while rest > 0 && quotient < FULL / 10 {
            let (digit, left) = next_digit(rest, by);
            quotient = quotient * 10 + digit;
            rest = left;
            exponent -= 1;
        }
        let quotient = quotient + u128::from(rounds_up(rest, by, quotient));
        Self::of_parts(self.is_negative() != divisor.is_negative(), quotient, exponent)
    }

    /// Returns the multiple of `step` that the number is rounded to.
    pub fn to_multiple(self, step: Self, rounding: Rounding) -> Result<Self> {
        if step.is_zero() {
            return Err(NumberError::DivisionByZero);
        }
        let shift = i32::from(self.exponent()) - i32::from(step.exponent());
        let Some((whole, rest, by)) = quotient(self.coefficient(), step.coefficient(), shift)?
        else {
            return Ok(self);
        };
        let up = match rounding {
            Rounding::HalfEven => rounds_up(rest, by, whole),
            // The magnitude of a negative number grows downwards.
            Rounding::Down => rest > 0 && self.is_negative(),
            Rounding::Up => rest > 0 && !self.is_negative(),
        };
        let count = Self::of_parts(self.is_negative(), whole + u128::from(up), 0)?;
        count.times(step.magnitude_only())
    }

    /// Returns the number without its sign.
    #[must_use]
    pub fn magnitude_only(self) -> Self {
        if self.is_negative() { self.negated() } else { self }
    }
}

/// Whole part, rest and divisor of `left · 10^shift / right`; `None` if nothing is left, however
/// many digits the whole part has. A divisor that overflows is more than twice any coefficient, so
/// the quotient is 0 and its rest less than half.
fn quotient(left: u128, right: u128, shift: i32) -> Result<Option<(u128, u128, u128)>> {
    if shift < 0 {
        let scale = 10_u128.checked_pow(shift.unsigned_abs());
        return Ok(Some(match scale.and_then(|scale| right.checked_mul(scale)) {
            Some(by) => (left / by, left % by, by),
            None => (0, left, u128::MAX),
        }));
    }
    let (mut whole, mut rest) = (left / right, left % right);
    // First whether anything is left: of a multiple, the whole part may have any length.
    if (0..shift).fold(rest, |rest, _| next_digit(rest, right).1) == 0 {
        return Ok(None);
    }
    for _ in 0..shift {
        let (digit, left) = next_digit(rest, right);
        whole = whole.checked_mul(10).ok_or(NumberError::TooPrecise)? + digit;
        rest = left;
        if whole >= FULL {
            return Err(NumberError::TooPrecise);
        }
    }
    Ok(Some((whole, rest, right)))
}

/// The next digit of a long division, and what it leaves.
fn next_digit(rest: u128, by: u128) -> (u128, u128) {
    let low = (rest & u128::from(u64::MAX)) * 10;
    let high = (rest >> 64) * 10 + (low >> 64);
    let mut carry = high >> 64;
    let mut value = (high << 64) | (low & u128::from(u64::MAX));
    let mut digit = 0;
    while carry > 0 || value >= by {
        let (left, borrowed) = value.overflowing_sub(by);
        value = left;
        carry -= u128::from(borrowed);
        digit += 1;
    }
    (digit, value)
}

/// Whether half-even rounding raises a quotient that leaves this rest.
fn rounds_up(rest: u128, by: u128, quotient: u128) -> bool {
    match rest.cmp(&(by - rest)) {
        Ordering::Less => false,
        Ordering::Equal => !quotient.is_multiple_of(2),
        Ordering::Greater => true,
    }
}

impl Wide {
    /// The number in units of this power of ten, which is at least 38 below that of its last digit
    /// that counts.
    fn of(number: Number, exponent: i32) -> Self {
        let shift = i32::from(number.exponent()) - exponent;
        let coefficient = number.coefficient();
        let power = |power: i32| 10_u128.checked_pow(u32::try_from(power).unwrap_or_default());
        let digits = i32::try_from(DIGITS_MAX).unwrap_or_default();
        if shift < 0 {
            let scale = power(-shift).unwrap_or(u128::MAX);
            let sticky = !coefficient.is_multiple_of(scale);
            return Self { high: 0, low: coefficient / scale, sticky, exponent };
        }
        if shift >= digits {
            let high = coefficient * power(shift - digits).unwrap_or_default();
            return Self { high, low: 0, sticky: false, exponent };
        }
        let split = power(digits - shift).unwrap_or(FULL);
        let low = (coefficient % split) * power(shift).unwrap_or(1);
        Self { high: coefficient / split, low, sticky: false, exponent }
    }

    fn plus(self, other: Self) -> Self {
        let low = self.low + other.low;
        let high = self.high + other.high + low / FULL;
        Self { high, low: low % FULL, sticky: self.sticky || other.sticky, ..self }
    }

    /// The difference, unless it is below zero. What follows the digits of the subtrahend takes one
    /// more from the last digit and leaves something after it.
    fn minus(self, other: Self) -> Option<Self> {
        let taken = other.low + u128::from(other.sticky);
        let (low, borrow) =
            if self.low >= taken { (self.low - taken, 0) } else { (self.low + FULL - taken, 1) };
        let high = self.high.checked_sub(other.high)?.checked_sub(borrow)?;
        Some(Self { high, low, sticky: self.sticky || other.sticky, ..self })
    }

    fn rounded(self, negative: bool) -> Result<Number> {
        let Self { mut high, mut low, mut sticky, mut exponent } = self;
        if high >= FULL {
            sticky |= !low.is_multiple_of(10);
            low = (high % 10) * (FULL / 10) + low / 10;
            high /= 10;
            exponent += 1;
        }
        if high == 0 {
            return Number::of_parts(negative, low, exponent);
        }
        let dropped = high.ilog10() + 1;
        let split = 10_u128.pow(dropped);
        let kept = high * 10_u128.pow(DIGITS_MAX - dropped) + low / split;
        let rest = low % split;
        let up = match rest.cmp(&(split - rest)) {
            Ordering::Less => false,
            Ordering::Equal => sticky || !kept.is_multiple_of(2),
            Ordering::Greater => true,
        };
        let exponent = exponent + i32::try_from(dropped).unwrap_or_default();
        Number::of_parts(negative, kept + u128::from(up), exponent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text).unwrap()
    }

    fn shown(result: Result<Number>) -> String {
        result.map_or_else(|error| error.to_string(), |number| number.to_string())
    }

    #[test]
    fn products_are_exact_up_to_38_digits_and_then_half_even() {
        let nines = "9".repeat(38);
        for (left, right, expected) in [
            ("2", "3", "6"),
            ("-1.5", "4", "-6"),
            ("0", "-7", "0"),
            ("0.1", "0.1", "0.01"),
            (
                "12345678901234567890",
                "98765432109876543210",
                "1219326311370217952237463801111263526900",
            ),
            (
                "1e-70",
                "1e-61",
                "Number underflow. Attempting to store a number with magnitude smaller than \
                 supported range",
            ),
            (
                "1e70",
                "1e60",
                "Number overflow. Attempting to store a number with magnitude larger than \
                 supported range",
            ),
            (
                nines.as_str(),
                nines.as_str(),
                "9999999999999999999999999999999999999800000000000000000000000000000000000000",
            ),
            // 1.5 in the 39th digit: to the even neighbor.
            (
                "10000000000000000000000000000000000001",
                "1.5",
                "15000000000000000000000000000000000002",
            ),
            (
                "10000000000000000000000000000000000003",
                "1.5",
                "15000000000000000000000000000000000004",
            ),
        ] {
            assert_eq!(shown(number(left).times(number(right))), expected, "{left} * {right}");
        }
    }

    #[test]
    fn quotients_have_38_digits_half_even() {
        let nines = "9".repeat(38);
        for (left, right, expected) in [
            ("6", "3", "2"),
            ("1", "8", "0.125"),
            ("-1", "3", "-0.33333333333333333333333333333333333333"),
            ("2", "3", "0.66666666666666666666666666666666666667"),
            ("0", "5", "0"),
            ("1", "0", "Division by zero"),
            ("200", "3", "66.666666666666666666666666666666666667"),
            (nines.as_str(), "1", nines.as_str()),
            ("1", nines.as_str(), "0.00000000000000000000000000000000000001"),
            (
                "1e125",
                "1e-10",
                "Number overflow. Attempting to store a number with magnitude larger than \
                 supported range",
            ),
            ("378.5411784", "1.609344", "235.21458333333333333333333333333333333"),
        ] {
            assert_eq!(shown(number(left).divided_by(number(right))), expected, "{left} / {right}");
        }
    }

    #[test]
    fn sums_beyond_38_digits_are_rounded() {
        let third = number("10").divided_by(number("3")).unwrap();
        let seventh = number("1").divided_by(number("7")).unwrap();
        for (left, right, expected) in [
            (third, seventh, "3.4761904761904761904761904761904761904"),
            (third, seventh.negated(), "3.1904761904761904761904761904761904762"),
            (seventh, third.negated(), "-3.1904761904761904761904761904761904762"),
            (number("1e38"), number("1"), "100000000000000000000000000000000000000"),
            (number("1e38"), number("-0.1"), "100000000000000000000000000000000000000"),
            (number("1e100"), number("1e-100"), &format!("1{}", "0".repeat(100))),
            (number(&"9".repeat(38)), number("0.6"), "100000000000000000000000000000000000000"),
        ] {
            assert_eq!(shown(left.plus_rounded(right)), expected, "{left} + {right}");
        }
        let tiny = number("1e-60").negated();
        let just_below = number("1").plus_rounded(tiny).unwrap();
        assert_eq!(just_below, number("1"), "rounds back up");
        let below = number("1").plus_rounded(number("-6e-39")).unwrap();
        assert_eq!(below.to_string(), format!("0.{}4", "9".repeat(38)).as_str()[..40].to_owned());
    }

    #[test]
    fn numbers_become_multiples_of_a_step() {
        use Rounding::{Down, HalfEven, Up};
        let multiple = format!("{}00", "9".repeat(38));
        for (value, step, rounding, expected) in [
            ("2475", "50", HalfEven, "2500"),
            ("2425", "50", HalfEven, "2400"),
            ("2474.9", "50", HalfEven, "2450"),
            ("-75", "50", HalfEven, "-100"),
            ("0.25", "0.1", HalfEven, "0.2"),
            ("0.35", "0.1", HalfEven, "0.4"),
            ("13.067", "0.1", HalfEven, "13.1"),
            ("7", "-2", HalfEven, "8"),
            ("1e-130", "1e100", HalfEven, "0"),
            ("1e30", "7", HalfEven, "999999999999999999999999999999"),
            (
                "1e60",
                "7",
                HalfEven,
                "Attempting to store more than 38 significant digits in a Number",
            ),
            ("1e40", "1", Down, "10000000000000000000000000000000000000000"),
            // A multiple with a count of 40 digits.
            (multiple.as_str(), "0.25", HalfEven, multiple.as_str()),
            ("-1e40", "5", Up, "-10000000000000000000000000000000000000000"),
            ("1.5", "0", HalfEven, "Division by zero"),
            ("1.5", "1", Down, "1"),
            ("-1.5", "1", Down, "-2"),
            ("1.5", "1", Up, "2"),
            ("-1.5", "1", Up, "-1"),
            ("3", "1", Up, "3"),
        ] {
            let found = shown(number(value).to_multiple(number(step), rounding));
            assert_eq!(found, expected, "{value} to {step} {rounding:?}");
        }
    }

    /// Against a second implementation: digits on paper.
    #[test]
    fn random_products_and_quotients_agree() {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for _ in 0..2_000 {
            let left = Number::from(next() >> (next() % 60)).magnitude_only();
            let right = Number::from((next() >> (next() % 60)).max(1)).magnitude_only();
            let (l, r) = (left.to_string(), right.to_string());
            let exact = l.parse::<u128>().unwrap() * r.parse::<u128>().unwrap();
            let product = left.times(right).unwrap();
            if exact < FULL {
                assert_eq!(product.to_string(), exact.to_string(), "{l} * {r}");
                assert_eq!(product.divided_by(right).unwrap(), left, "{l} * {r} / {r}");
            }
            let back = left.divided_by(right).unwrap().times(right).unwrap();
            let off = back.minus_rounded(left).unwrap().magnitude_only();
            let bound = left.times(number("1e-36")).unwrap_or(Number::ZERO);
            assert!(off <= bound, "{l} / {r} * {r} is off by {off}");
        }
    }
}
