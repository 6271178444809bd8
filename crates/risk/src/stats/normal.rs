//! Quantiles of the normal distribution.
#![expect(clippy::float_arithmetic, reason = "a rational approximation; what leaves is a decimal, rounded up")]

use domain::Ratio;
use rust_decimal::Decimal;
use rust_decimal::prelude::{FromPrimitive, ToPrimitive};

use crate::exact::ratio_up;

/// Largest probability that is asked of the quantile: the approximation loses relative precision in `1 − p` beyond it, and a
/// confidence above 1 − 10⁻⁹ says nothing about markets.
const P_MAX: f64 = 1.0 - 1e-9;

/// `Φ⁻¹(p)` for p in (0, 1), by Wichura's algorithm AS 241 (PPND16): relative error below 1e-15. Outside, the nearest end of
/// [1e-9, 1 − 1e-9] is taken.
#[must_use]
pub fn quantile(p: f64) -> f64 {
    let p = if p.is_nan() { P_MAX } else { p.clamp(1.0 - P_MAX, P_MAX) };
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        return q * poly(&CENTRE_NUM, r) / poly(&CENTRE_DEN, r);
    }
    let tail = if q < 0.0 { p } else { 1.0 - p };
    let r = (-tail.ln()).sqrt();
    let z = if r <= 5.0 {
        poly(&NEAR_NUM, r - 1.6) / poly(&NEAR_DEN, r - 1.6)
    } else {
        poly(&FAR_NUM, r - 5.0) / poly(&FAR_DEN, r - 5.0)
    };
    if q < 0.0 { -z } else { z }
}

/// Quantile of the running adverse excursion of a driftless Brownian motion in units of `σ√H`: by the reflection principle
/// `Φ⁻¹(1 − (1 − α)/2)`, so 1.960, 2.576, 3.291 for α 0.95, 0.99, 0.999 (quant §1.10). Rounded up at 12 decimals.
#[must_use]
pub fn excursion_quantile(alpha: Ratio) -> Ratio {
    let alpha = alpha.decimal().clamp(Decimal::ZERO, Decimal::ONE);
    let p = (Decimal::ONE + alpha) / Decimal::TWO;
    // a decimal in [0.5, 1] has a float, and a quantile below 7 a decimal; the fallback is that of the largest confidence
    let z = quantile(p.to_f64().unwrap_or(P_MAX));
    ratio_up(Decimal::from_f64(z).unwrap_or(Decimal::from(7)))
}

fn poly(coefficients: &[f64; 8], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c)
}

// the coefficients of AS 241 (Applied Statistics 37, 1988), lowest power first
const CENTRE_NUM: [f64; 8] = [
    3.387_132_872_796_366_5,
    133.141_667_891_784_38,
    1_971.590_950_306_551_3,
    13_731.693_765_509_46,
    45_921.953_931_549_87,
    67_265.770_927_008_7,
    33_430.575_583_588_13,
    2_509.080_928_730_122_7,
];
const CENTRE_DEN: [f64; 8] = [
    1.0,
    42.313_330_701_600_91,
    687.187_007_492_057_9,
    5_394.196_021_424_751,
    21_213.794_301_586_597,
    39_307.895_800_092_71,
    28_729.085_735_721_943,
    5_226.495_278_852_545,
];
const NEAR_NUM: [f64; 8] = [
    1.423_437_110_749_683_5,
    4.630_337_846_156_546,
    5.769_497_221_460_691,
    3.647_848_324_763_204_5,
    1.270_458_252_452_368_4,
    0.241_780_725_177_450_6,
    0.022_723_844_989_269_184,
    0.000_774_545_014_278_341_4,
];
const NEAR_DEN: [f64; 8] = [
    1.0,
    2.053_191_626_637_759,
    1.676_384_830_183_803_8,
    0.689_767_334_985_1,
    0.148_103_976_427_480_08,
    0.015_198_666_563_616_457,
    0.000_547_593_808_499_534_5,
    1.050_750_071_644_416_9e-9,
];
const FAR_NUM: [f64; 8] = [
    6.657_904_643_501_103,
    5.463_784_911_164_114,
    1.784_826_539_917_291_3,
    0.296_560_571_828_504_87,
    0.026_532_189_526_576_124,
    0.001_242_660_947_388_078_4,
    2.711_555_568_743_487_6e-5,
    2.010_334_399_292_288_1e-7,
];
const FAR_DEN: [f64; 8] = [
    1.0,
    0.599_832_206_555_888,
    0.136_929_880_922_735_8,
    0.014_875_361_290_850_615,
    0.000_786_869_131_145_613_3,
    1.846_318_317_510_054_8e-5,
    1.421_511_758_316_446e-7,
    2.044_263_103_389_939_8e-15,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_the_table() {
        // quant §1.10, and the tables' further digits
        for (alpha, z) in [("0.95", 1.959_963_984_540_054), ("0.99", 2.575_829_303_548_901), ("0.999", 3.290_526_731_491_694_5)] {
            let alpha: Ratio = alpha.parse().unwrap_or_else(|e| panic!("{e}"));
            let got = excursion_quantile(alpha).decimal().to_f64().unwrap_or(0.0);
            assert!((got - z).abs() < 2e-12, "{got} {z}");
            assert!(got >= z - 1e-15, "rounded up");
        }
        assert!((quantile(0.05) + 1.644_853_626_951_472_2).abs() < 1e-14);
        assert!((quantile(1e-7) + 5.199_337_582_192_817).abs() < 1e-12, "{}", quantile(1e-7));
        assert!(quantile(f64::NAN).is_finite() && quantile(1.0).is_finite() && quantile(-3.0).is_finite());
    }

    #[test]
    fn more_confidence_never_needs_less() {
        let mut last = f64::NEG_INFINITY;
        for k in 1..20_000 {
            let z = quantile(f64::from(k) / 20_000.0);
            assert!(z > last, "{k}");
            last = z;
        }
    }
}
