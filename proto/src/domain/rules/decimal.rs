//! Exact decimals of a plan: how large they are and how many digits they have.

/// What is known of a decimal number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Smallest `k` with `|number| <= 10^k`; 0 for zero.
    pub magnitude: i32,
    /// Digits before the point; negative where the point is followed by zeros.
    pub digits: i32,
    /// Digits behind the point.
    pub scale: i32,
}

/// The shape of a number written as in a plan: `[+-]digits[.digits][e[+-]digits]`.
pub fn shape(text: &str) -> Shape {
    let unsigned = text.trim_start_matches(['+', '-']);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let point = len(whole) + exponent;
    let scale = (len(fraction) - exponent).max(0);
    let Some(first) = digits.find(|digit| digit != '0') else {
        return Shape {
            magnitude: 0,
            digits: i32::from(i16::MIN),
            scale,
        };
    };
    let leading = &digits[first..];
    let is_power_of_ten =
        leading.starts_with('1') && leading.bytes().skip(1).all(|digit| digit == b'0');
    let before = point - len(&digits[..first]);
    Shape {
        magnitude: before - i32::from(is_power_of_ten),
        digits: before,
        scale,
    }
}

/// `10^exponent` written out.
pub fn power_of_ten(exponent: i32) -> String {
    match usize::try_from(exponent) {
        Ok(zeros) => format!("1{}", "0".repeat(zeros)),
        Err(_) => {
            let zeros = usize::try_from(-exponent - 1).unwrap_or(0);
            format!("0.{}1", "0".repeat(zeros))
        }
    }
}

fn len(text: &str) -> i32 {
    i32::try_from(text.len()).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_bound_the_number() {
        let cases = [
            ("0", 0, 0),
            ("1", 0, 0),
            ("-1", 0, 0),
            ("12", 2, 0),
            ("100", 2, 0),
            ("0.01", -2, 2),
            ("0.5", 0, 1),
            ("0.05", -1, 2),
            ("1.50", 1, 2),
            ("1e3", 3, 0),
            ("2.5e-3", -2, 4),
        ];
        for (text, magnitude, scale) in cases {
            let shape = shape(text);
            assert_eq!((shape.magnitude, shape.scale), (magnitude, scale), "{text}");
        }
        assert_eq!(power_of_ten(3), "1000");
        assert_eq!(power_of_ten(-2), "0.01");
        assert_eq!(power_of_ten(0), "1");
    }
}
